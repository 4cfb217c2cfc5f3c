# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators on imported characters share."""

from typing import Any

from closeint_core.errors import CloseintError

from ..importer.pair import PAIR
from ..scene_state import preserve_user_state


class ForPairs:
    """Mixin of operators that need characters of a clip in the scene."""

    @classmethod
    def poll(cls: Any, context: Any) -> bool:
        cls.poll_message_set("No characters of a clip in the scene")
        return any(PAIR in ob for ob in context.scene.objects)


class Edit(ForPairs):
    """Mixin of operators that change something, one step of undo: ``run`` does it, and what goes wrong is reported."""

    bl_options: Any = {"REGISTER", "UNDO"}

    def run(self, context: Any) -> Any:
        """Do it.

        Raises:
            CloseintError: it cannot be done.
        """
        raise NotImplementedError

    def execute(self: Any, context: Any) -> Any:
        """Reports what goes wrong."""
        try:
            return self.run(context)
        except CloseintError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}


class EditKeepingState(Edit):
    """The same, with the user's mode, selection and frame as they were afterwards."""

    def execute(self: Any, context: Any) -> Any:
        """Reports what goes wrong."""
        with preserve_user_state(context):
            return super().execute(context)
