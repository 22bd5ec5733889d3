/* Colours chosen by eye (OKLab: B. Ottosson, "A perceptual color space for image processing", 2020) and the tables of
 * noise. */
#include <math.h>

#include "core/toy/internal.h"

static struct toy_color oklab(float lightness, float a, float b) {
  float l = lightness + 0.3963377774f * a + 0.2158037573f * b;
  float m = lightness - 0.1055613458f * a - 0.0638541728f * b;
  float s = lightness - 0.0894841775f * a - 1.2914855480f * b;
  l = l * l * l;
  m = m * m * m;
  s = s * s * s;
  return (struct toy_color){4.0767416621f * l - 3.3077115913f * m + 0.2309699292f * s,
                            -1.2684380046f * l + 2.6097574011f * m - 0.3413193965f * s,
                            -0.0041960863f * l - 0.7034186147f * m + 1.7076147010f * s};
}

static bool displayable(struct toy_color c) {
  return c.r >= 0 && c.g >= 0 && c.b >= 0 && c.r <= 1 && c.g <= 1 && c.b <= 1;
}

struct toy_color toy_oklch(float lightness, float chroma, float hue) {
  float angle = 6.2831853f * hue, a = toy_cos(angle), b = toy_sin(angle);
  for (int step = 0; step < 12; step++) {
    struct toy_color color = oklab(lightness, chroma * a, chroma * b);
    if (displayable(color)) {
      return color;
    }
    chroma *= 0.85f;
  }
  struct toy_color grey = oklab(lightness, 0, 0);
  return (struct toy_color){toy_clamp(grey.r), toy_clamp(grey.g), toy_clamp(grey.b)};
}

struct toy_color toy_blend(struct toy_color a, struct toy_color b, float t) {
  return (struct toy_color){toy_mix(a.r, b.r, t), toy_mix(a.g, b.g, t), toy_mix(a.b, b.b, t)};
}

struct toy_color toy_scale(struct toy_color color, float factor) {
  return (struct toy_color){color.r * factor, color.g * factor, color.b * factor};
}

void toy_noise_fill(struct toy_noise *noise) {
  struct rng rng;
  rng_init(&rng, 0, RNG_TOY, 1, 0); /* epoch 1: scenes use epoch 0 */
  for (size_t i = 0; i < COUNT_OF(noise->lattice); i++) {
    noise->lattice[i] = toy_random(&rng, -1, 1);
  }
  for (size_t i = 0; i < COUNT_OF(noise->grain); i++) {
    uint32_t bits = rng_u32(&rng); /* the sum of four uniform bytes */
    uint32_t sum = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24);
    noise->grain[i] = ((float)sum - 510.0f) / 147.8f;
  }
}
