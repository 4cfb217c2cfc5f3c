# SPDX-License-Identifier: Apache-2.0
"""Make the bundled pose networks: the published float16 weights as ONNX files of half the size.

The published TFLite files hold float16 weights. ``tf2onnx`` (1.17, opset 17) turns them into ONNX with float32
weights:

    python -m tf2onnx.convert --opset 17 --tflite pose_landmark_full.tflite --output blazepose_full.onnx
    python -m tf2onnx.convert --opset 17 --saved-model movenet_multipose_lightning_1 --output movenet_multipose.onnx

and for MoveNet the tensors of its heads are made outputs too (``--outputs`` with the names listed in the model card).
This script stores every weight that float16 holds exactly as float16, followed by a Cast that ONNX Runtime folds away
while loading: the file halves and the results stay equal bit for bit. It needs the ``onnx`` package:

    python scripts/convert_pose_models.py FOLDER_WITH_FLOAT32_ONNX [--out closeint_core/perception/weights]
"""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np

MODELS = ("movenet_multipose", "blazepose_full")
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "closeint_core" / "perception" / "weights"


def store_as_float16(source: Path, target: Path) -> tuple[int, int]:
    """Write ``source`` to ``target`` with float16 weights; returns (weights halved, weights kept)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(source))
    graph = model.graph
    halved = kept = 0
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            small = values.astype(np.float16)
        # scalars and short vectors are often operator parameters; nothing is gained there
        if values.size < 16 or not np.array_equal(small.astype(np.float32), values):
            kept += values.size
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(small, name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], name=name + "_cast", to=TensorProto.FLOAT))
        halved += values.size
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    temporary = target.with_suffix(".part")
    temporary.write_bytes(model.SerializeToString(deterministic=True))
    os.replace(temporary, target)
    return halved, kept


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the float32 ONNX files")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    arguments = parser.parse_args()
    for name in arguments.models:
        target = arguments.out / f"{name}.onnx"
        halved, kept = store_as_float16(arguments.folder / f"{name}.onnx", target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        print(f"{target.name}  {target.stat().st_size} bytes  {halved} weights halved, {kept} kept  sha256 {digest}")


if __name__ == "__main__":
    main()
