// SPDX-License-Identifier: Apache-2.0
// The nearest triangle of each pixel: one thread a triangle, the nearest wins by an atomic minimum of
// (bits of the depth << 32 | face). The same file compiles for the CPU (c++ -x c++), where the threads are a loop.
typedef unsigned long long u64;
#ifdef __CUDACC__
#define SHARED_CODE __device__ __forceinline__
SHARED_CODE void keep_nearest(u64 *pixel, u64 key) { atomicMin(pixel, key); }
SHARED_CODE unsigned bits_of(float value) { return __float_as_uint(value); }
#else
#include <algorithm>
#include <cmath>
#include <cstring>
#define SHARED_CODE static inline
static inline void keep_nearest(u64 *pixel, u64 key) { if (key < *pixel) *pixel = key; }
static inline unsigned bits_of(float value) { unsigned bits; std::memcpy(&bits, &value, 4); return bits; }
using std::max;
using std::min;
#endif

SHARED_CODE void draw_triangle(const float *vertices, const int *faces, u64 *pixels, long picture, int face, int count,
                               int height, int width, float nearest) {
  const float *at = vertices + picture * count * 3;
  const int i0 = 3 * faces[3 * face], i1 = 3 * faces[3 * face + 1], i2 = 3 * faces[3 * face + 2];
  const float x0 = at[i0], y0 = at[i0 + 1], z0 = at[i0 + 2];
  const float x1 = at[i1], y1 = at[i1 + 1], z1 = at[i1 + 2];
  const float x2 = at[i2], y2 = at[i2 + 1], z2 = at[i2 + 2];
  if (!(z0 > nearest && z1 > nearest && z2 > nearest)) return;
  const float area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0);
  if (!(fabsf(area) > 1e-9f)) return;
  const float low_x = fminf(x0, fminf(x1, x2)), high_x = fmaxf(x0, fmaxf(x1, x2));
  const float low_y = fminf(y0, fminf(y1, y2)), high_y = fmaxf(y0, fmaxf(y1, y2));
  if (!(high_x > 0 && high_y > 0 && low_x < width && low_y < height)) return;
  // Pixel centres are at +0.5.
  const int first_x = max((int)ceilf(fmaxf(low_x, 0.f) - 0.5f), 0);
  const int last_x = min((int)floorf(fminf(high_x, (float)width) - 0.5f), width - 1);
  const int first_y = max((int)ceilf(fmaxf(low_y, 0.f) - 0.5f), 0);
  const int last_y = min((int)floorf(fminf(high_y, (float)height) - 0.5f), height - 1);
  const float scale = 1.f / area, q0 = 1.f / z0, q1 = 1.f / z1, q2 = 1.f / z2;
  for (int y = first_y; y <= last_y; y++)
    for (int x = first_x; x <= last_x; x++) {
      const float px = x + 0.5f, py = y + 0.5f;
      const float a0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * scale;
      const float a1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * scale;
      const float a2 = 1.f - a0 - a1;
      if (a0 < 0 || a1 < 0 || a2 < 0) continue;
      const float depth = 1.f / (a0 * q0 + a1 * q1 + a2 * q2);  // 1/z is linear in the picture
      keep_nearest(pixels + (picture * height + y) * width + x, ((u64)bits_of(depth) << 32) | (unsigned)face);
    }
}

#ifdef __CUDACC__
__global__ void draw_triangles(const float *vertices, const int *faces, u64 *pixels, long total, int number, int count,
                               int height, int width, float nearest) {
  const long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < total) draw_triangle(vertices, faces, pixels, i / number, (int)(i % number), count, height, width, nearest);
}
extern "C" int draw(const float *vertices, const int *faces, u64 *pixels, int pictures, int number, int count,
                    int height, int width, float nearest, void *stream) {
  const long total = (long)pictures * number;
  if (total == 0) return 0;
  draw_triangles<<<(unsigned)((total + 127) / 128), 128, 0, (cudaStream_t)stream>>>(
      vertices, faces, pixels, total, number, count, height, width, nearest);
  return (int)cudaGetLastError();
}
#else
extern "C" int draw(const float *vertices, const int *faces, u64 *pixels, int pictures, int number, int count,
                    int height, int width, float nearest, void *) {
  for (long picture = 0; picture < pictures; picture++)
    for (int face = 0; face < number; face++)
      draw_triangle(vertices, faces, pixels, picture, face, count, height, width, nearest);
  return 0;
}
#endif
