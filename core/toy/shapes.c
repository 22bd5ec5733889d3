/* The twelve objects. Each is drawn in its own units with a few proportions left to chance; the textured body comes
 * first or where it lies in painter's order, then what makes it recognisable. */
#include <math.h>

#include "core/toy/internal.h"

#define TURN 6.28318531f
#define POINTS(...) (const struct toy_point[]){__VA_ARGS__}, COUNT_OF(((const struct toy_point[]){__VA_ARGS__}))

static void draw_line(struct toy_drawing *drawing, float x0, float y0, float x1, float y1, float width) {
  toy_stroke(drawing, (struct toy_point[]){{x0, y0}, {x1, y1}}, 2, width, width);
}

/* An arc of a circle as a stroke, angles in turns, clockwise from the right. */
static void draw_arc(struct toy_drawing *drawing, float x, float y, float rx, float ry, float from, float to,
                     float width) {
  struct toy_point points[17];
  for (int i = 0; i < 17; i++) {
    float angle = TURN * toy_mix(from, to, (float)i / 16);
    points[i] = (struct toy_point){x + rx * toy_cos(angle), y + ry * toy_sin(angle)};
  }
  toy_stroke(drawing, points, 17, width, width);
}

static void draw_eye(struct toy_drawing *drawing, float x, float y, float radius, float look) {
  toy_ellipse(drawing, x, y, radius, radius);
  toy_fill(drawing, TOY_LIGHT, 0);
  toy_ellipse(drawing, x + look * radius * 0.3f, y, radius * 0.58f, radius * 0.62f);
  toy_fill(drawing, TOY_DARK, 0);
  toy_ellipse(drawing, x + look * radius * 0.3f - radius * 0.2f, y - radius * 0.25f, radius * 0.2f, radius * 0.2f);
  toy_fill(drawing, TOY_LIGHT, 0);
}

static void draw_face(struct toy_drawing *drawing, float x, float y, float size) {
  draw_eye(drawing, x - 0.32f * size, y - 0.1f * size, 0.17f * size, 0);
  draw_eye(drawing, x + 0.32f * size, y - 0.1f * size, 0.17f * size, 0);
  draw_arc(drawing, x, y + 0.1f * size, 0.26f * size, 0.22f * size, 0.06f, 0.44f, 0.08f * size);
  toy_fill(drawing, TOY_DARK, 0);
}

static void draw_blossom(struct toy_drawing *drawing, float x, float y, float radius, int petals) {
  for (int i = 0; i < petals; i++) {
    float angle = TURN * (float)i / (float)petals;
    toy_ellipse(drawing, x + 0.6f * radius * toy_cos(angle), y + 0.6f * radius * toy_sin(angle), 0.45f * radius,
                0.45f * radius);
  }
  toy_fill(drawing, TOY_TRIM, 0.02f);
  toy_ellipse(drawing, x, y, 0.38f * radius, 0.38f * radius);
  toy_fill(drawing, TOY_LIGHT, 0.01f);
}

static void draw_bottle(struct toy_drawing *drawing, struct rng *rng) {
  float neck = toy_random(rng, 0.055f, 0.075f), belly = toy_random(rng, 0.165f, 0.19f);
  float shoulder = toy_random(rng, -0.22f, -0.12f), waist = belly * toy_random(rng, 0.88f, 1.0f);
  toy_profile(drawing, POINTS({neck, -0.46f}, {neck, -0.36f}, {neck * 1.08f, shoulder - 0.1f},
                              {belly * 0.72f, shoulder + 0.03f}, {belly, shoulder + 0.15f}, {waist, 0.2f},
                              {belly, 0.42f}, {belly * 0.93f, 0.49f}, {belly * 0.8f, 0.5f}));
  toy_fill(drawing, TOY_BODY, 0.12f);
  toy_box(drawing, -belly * 0.62f, 0.13f, belly * 0.62f, 0.31f, 0.03f);
  toy_fill(drawing, TOY_LIGHT, 0.01f);
  toy_ellipse(drawing, 0, 0.22f, 0.055f, 0.055f);
  toy_fill(drawing, TOY_TRIM, 0.01f);
  toy_box(drawing, -neck * 1.25f, -0.38f, neck * 1.25f, -0.35f, 0.012f);
  toy_fill(drawing, TOY_LIGHT, 0.01f);
  toy_box(drawing, -neck * 1.15f, -0.54f, neck * 1.15f, -0.43f, 0.02f);
  toy_fill(drawing, TOY_TRIM, 0.02f);
  draw_line(drawing, -belly * 0.68f, shoulder + 0.16f, -belly * 0.68f, 0.36f, 0.02f);
  toy_glaze(drawing, TOY_LIGHT, 0.45f);
}

static void draw_window(struct toy_drawing *drawing, float x, float y, float w, float h) {
  toy_box(drawing, x - w - 0.018f, y - h - 0.018f, x + w + 0.018f, y + h + 0.018f, 0.9f * w);
  toy_fill(drawing, TOY_LIGHT, 0.012f);
  toy_box(drawing, x - w, y - h, x + w, y + h, 0.8f * w);
  toy_fill(drawing, TOY_DARK, 0);
  toy_box(drawing, x - w, y - h * 0.4f, x + w * 0.2f, y + h, 0.4f * w);
  toy_glaze(drawing, TOY_GLASS, 0.5f);
}

static void draw_tower(struct toy_drawing *drawing, struct rng *rng) {
  float top = toy_random(rng, 0.12f, 0.15f), foot = toy_random(rng, 0.17f, 0.2f);
  float roof = toy_random(rng, -0.66f, -0.58f);
  bool pointed = toy_chance(rng, 0.5f);
  draw_line(drawing, 0, roof - 0.1f, 0, roof + 0.1f, 0.016f);
  toy_fill(drawing, TOY_DARK, 0);
  toy_curve(drawing, POINTS({0.005f, roof - 0.1f}, {0.06f, roof - 0.09f}, {0.12f, roof - 0.075f}, {0.06f, roof - 0.04f},
                            {0.005f, roof - 0.03f}));
  toy_fill(drawing, TOY_TRIM, 0.01f);
  toy_path(drawing, POINTS({-top, -0.3f}, {top, -0.3f}, {foot, 0.5f}, {-foot, 0.5f}));
  toy_fill(drawing, TOY_BODY, 0.08f);
  if (pointed) {
    toy_curve(drawing, POINTS({0, roof}, {0.07f, -0.48f}, {top + 0.08f, -0.32f}, {top + 0.07f, -0.29f}, {0, -0.28f},
                              {-top - 0.07f, -0.29f}, {-top - 0.08f, -0.32f}, {-0.07f, -0.48f}));
    toy_fill(drawing, TOY_TRIM, 0.04f);
  } else {
    for (int i = -2; i <= 2; i += 2) {
      float x = (float)i * (top + 0.01f) * 0.5f;
      toy_box(drawing, x - 0.035f, -0.48f, x + 0.035f, -0.35f, 0.008f);
    }
    toy_box(drawing, -top - 0.045f, -0.42f, top + 0.045f, -0.3f, 0.015f);
    toy_fill(drawing, TOY_PLAIN, 0.02f);
    toy_path(drawing, POINTS({0, roof + 0.02f}, {0.02f, roof + 0.02f}, {0.02f, -0.4f}, {0, -0.4f}));
    toy_fill(drawing, TOY_DARK, 0);
  }
  draw_window(drawing, 0, -0.13f, 0.04f, 0.065f);
  draw_window(drawing, 0, 0.12f, 0.04f, 0.065f);
  toy_curve(drawing, POINTS({-0.07f, 0.5f}, {-0.072f, 0.4f}, {-0.045f, 0.34f}, {0, 0.32f}, {0.045f, 0.34f},
                            {0.072f, 0.4f}, {0.07f, 0.5f}, {0, 0.503f}));
  toy_fill(drawing, TOY_DARK, 0.01f);
}

static void draw_cactus(struct toy_drawing *drawing, struct rng *rng) {
  float left = toy_random(rng, -0.02f, 0.12f), right = toy_random(rng, -0.12f, 0.05f);
  float rise = toy_random(rng, 0.14f, 0.2f);
  toy_stroke(drawing,
             POINTS({0.0f, left}, {-0.1f, left + 0.01f}, {-0.15f, left - 0.02f}, {-0.17f, left - 0.07f},
                    {-0.172f, left - rise}),
             0.09f, 0.085f);
  toy_fill(drawing, TOY_BODY, 0.05f);
  toy_stroke(drawing,
             POINTS({0.0f, right}, {0.1f, right + 0.01f}, {0.15f, right - 0.02f}, {0.17f, right - 0.07f},
                    {0.172f, right - rise}),
             0.09f, 0.085f);
  toy_fill(drawing, TOY_BODY, 0.05f);
  toy_stroke(drawing, POINTS({0, 0.4f}, {0, 0.1f}, {0, -0.2f}, {0, -0.46f}), 0.2f, 0.17f);
  toy_fill(drawing, TOY_BODY, 0.1f);
  draw_blossom(drawing, toy_random(rng, -0.02f, 0.02f), -0.55f, 0.075f, 5);
  if (toy_chance(rng, 0.6f)) {
    draw_blossom(drawing, 0.172f, right - rise - 0.045f, 0.045f, 5);
  }
  toy_path(drawing, POINTS({-0.15f, 0.32f}, {0.15f, 0.32f}, {0.115f, 0.54f}, {-0.115f, 0.54f}));
  toy_fill(drawing, TOY_TRIM, 0.03f);
  toy_box(drawing, -0.175f, 0.27f, 0.175f, 0.35f, 0.02f);
  toy_fill(drawing, TOY_TRIM, 0.02f);
}

static void draw_fish(struct toy_drawing *drawing, struct rng *rng) {
  float belly = toy_random(rng, 0.19f, 0.22f), tail = toy_random(rng, 0.15f, 0.19f);
  toy_curve(drawing, POINTS({-0.28f, 0}, {-0.42f, -tail * 0.7f}, {-0.56f, -tail}, {-0.52f, -tail * 0.4f}, {-0.47f, 0},
                            {-0.52f, tail * 0.4f}, {-0.56f, tail}, {-0.42f, tail * 0.7f}));
  toy_fill(drawing, TOY_TRIM, 0.03f);
  toy_curve(drawing, POINTS({-0.2f, -0.1f}, {-0.16f, -belly * 1.15f}, {-0.05f, -belly * 1.42f}, {0.08f, -belly * 1.2f},
                            {0.16f, -0.12f}));
  toy_fill(drawing, TOY_TRIM, 0.03f);
  toy_curve(drawing, POINTS({-0.02f, 0.12f}, {-0.1f, belly * 1.3f}, {0.0f, belly * 1.25f}, {0.1f, 0.14f}));
  toy_fill(drawing, TOY_TRIM, 0.02f);
  toy_curve(drawing, POINTS({0.5f, 0.015f}, {0.4f, -belly * 0.55f}, {0.2f, -belly * 0.95f}, {0, -belly},
                            {-0.2f, -belly * 0.7f}, {-0.36f, -0.05f}, {-0.36f, 0.05f}, {-0.2f, belly * 0.72f},
                            {0, belly}, {0.2f, belly * 0.95f}, {0.4f, belly * 0.6f}));
  toy_fill(drawing, TOY_BODY, 0.13f);
  draw_arc(drawing, 0.08f, 0, 0.13f, belly * 0.85f, -0.17f, 0.17f, 0.016f);
  toy_glaze(drawing, TOY_DARK, 0.55f);
  toy_curve(drawing, POINTS({0.1f, 0.02f}, {0.02f, 0.1f}, {-0.07f, 0.11f}, {-0.05f, 0.06f}, {0.02f, 0.02f}));
  toy_fill(drawing, TOY_TRIM, 0.02f);
  draw_eye(drawing, 0.32f, -0.055f, 0.055f, 1);
  draw_arc(drawing, 0.44f, 0.03f, 0.06f, 0.045f, 0.1f, 0.4f, 0.018f);
  toy_fill(drawing, TOY_DARK, 0);
}

static void draw_wheel(struct toy_drawing *drawing, float x, float y, float radius) {
  toy_ellipse(drawing, x, y, radius, radius);
  toy_fill(drawing, TOY_DARK, 0.03f);
  toy_ellipse(drawing, x, y, radius * 0.55f, radius * 0.55f);
  toy_fill(drawing, TOY_LIGHT, 0.02f);
  toy_ellipse(drawing, x, y, radius * 0.22f, radius * 0.22f);
  toy_fill(drawing, TOY_TRIM, 0.01f);
}

static void draw_car(struct toy_drawing *drawing, struct rng *rng) {
  float roof = toy_random(rng, -0.27f, -0.22f), back = toy_random(rng, -0.4f, -0.3f);
  float front = toy_random(rng, 0.16f, 0.24f), wheel = toy_random(rng, 0.085f, 0.1f);
  toy_path(drawing, POINTS({-0.5f, 0.1f}, {0.5f, 0.1f}, {0.5f, 0.16f}, {-0.5f, 0.16f}));
  toy_fill(drawing, TOY_DARK, 0.02f);
  toy_curve(drawing,
            POINTS({-0.5f, 0.1f}, {-0.51f, -0.02f}, {-0.47f, -0.07f}, {back, -0.09f}, {back + 0.06f, roof + 0.04f},
                   {back + 0.14f, roof}, {front - 0.14f, roof}, {front - 0.04f, roof + 0.04f}, {front + 0.06f, -0.08f},
                   {0.42f, -0.05f}, {0.5f, 0.0f}, {0.52f, 0.1f}, {0.47f, 0.14f}, {0, 0.145f}, {-0.46f, 0.14f}));
  toy_fill(drawing, TOY_BODY, 0.07f);
  float post = 0.5f * (back + front) + 0.02f;
  toy_curve(drawing, POINTS({back + 0.055f, -0.07f}, {back + 0.1f, roof + 0.065f}, {back + 0.16f, roof + 0.045f},
                            {post - 0.03f, roof + 0.045f}, {post - 0.025f, -0.07f}));
  toy_fill(drawing, TOY_GLASS, 0.012f);
  toy_curve(drawing, POINTS({post + 0.025f, -0.07f}, {post + 0.03f, roof + 0.045f}, {front - 0.14f, roof + 0.045f},
                            {front - 0.075f, roof + 0.075f}, {front - 0.01f, -0.07f}));
  toy_fill(drawing, TOY_GLASS, 0.012f);
  draw_line(drawing, post + 0.04f, -0.015f, post + 0.09f, -0.015f, 0.018f);
  toy_fill(drawing, TOY_LIGHT, 0);
  toy_ellipse(drawing, 0.475f, 0.015f, 0.03f, 0.04f);
  toy_fill(drawing, TOY_LIGHT, 0.01f);
  toy_box(drawing, -0.515f, -0.02f, -0.475f, 0.04f, 0.015f);
  toy_fill(drawing, TOY_TRIM, 0.01f);
  toy_box(drawing, 0.4f, 0.085f, 0.545f, 0.135f, 0.02f);
  toy_box(drawing, -0.54f, 0.085f, -0.4f, 0.135f, 0.02f);
  toy_fill(drawing, TOY_LIGHT, 0.012f);
  draw_wheel(drawing, -0.29f, 0.155f, wheel);
  draw_wheel(drawing, 0.3f, 0.155f, wheel);
}

static void draw_caterpillar(struct toy_drawing *drawing, struct rng *rng) {
  enum { SEGMENTS = 5 };
  float wave = toy_random(rng, 0.015f, 0.04f), phase = toy_random(rng, 0, 1);
  for (int i = 0; i < SEGMENTS; i++) {
    float x = -0.5f + 0.185f * (float)i, y = wave * toy_sin(TURN * (phase + (float)i * 0.3f));
    draw_line(drawing, x - 0.04f, y + 0.1f, x - 0.045f, 0.185f, 0.045f);
    draw_line(drawing, x + 0.05f, y + 0.1f, x + 0.055f, 0.185f, 0.045f);
    toy_fill(drawing, TOY_DARK, 0.01f);
  }
  for (int i = 0; i < SEGMENTS; i++) {
    float x = -0.5f + 0.185f * (float)i, y = wave * toy_sin(TURN * (phase + (float)i * 0.3f));
    float radius = i == 0 ? 0.115f : 0.135f;
    toy_ellipse(drawing, x, y, radius, radius);
    toy_fill(drawing, TOY_BODY, 0.08f);
  }
  float x = 0.46f, y = -0.065f;
  toy_stroke(drawing, POINTS({x - 0.05f, y - 0.1f}, {x - 0.08f, y - 0.17f}, {x - 0.06f, y - 0.225f}), 0.022f, 0.018f);
  toy_stroke(drawing, POINTS({x + 0.05f, y - 0.1f}, {x + 0.08f, y - 0.17f}, {x + 0.11f, y - 0.215f}), 0.022f, 0.018f);
  toy_fill(drawing, TOY_DARK, 0);
  toy_ellipse(drawing, x - 0.06f, y - 0.23f, 0.03f, 0.03f);
  toy_ellipse(drawing, x + 0.11f, y - 0.22f, 0.03f, 0.03f);
  toy_fill(drawing, TOY_TRIM, 0.015f);
  toy_ellipse(drawing, x, y, 0.165f, 0.16f);
  toy_fill(drawing, TOY_PLAIN, 0.1f);
  toy_ellipse(drawing, x - 0.085f, y + 0.055f, 0.03f, 0.02f);
  toy_ellipse(drawing, x + 0.115f, y + 0.055f, 0.03f, 0.02f);
  toy_glaze(drawing, TOY_TRIM, 0.7f);
  draw_face(drawing, x + 0.015f, y + 0.01f, 0.19f);
}

static void draw_mug(struct toy_drawing *drawing, struct rng *rng) {
  float foot = toy_random(rng, 0.25f, 0.33f), handle = toy_random(rng, 0.15f, 0.19f);
  draw_arc(drawing, 0.29f, 0.02f, handle, handle + 0.03f, -0.27f, 0.27f, 0.085f);
  toy_fill(drawing, TOY_PLAIN, 0.03f);
  toy_curve(drawing,
            POINTS({-0.35f, -0.36f}, {-0.35f, 0.0f}, {-foot - 0.02f, 0.33f}, {-foot + 0.05f, 0.4f}, {0, 0.415f},
                   {foot - 0.05f, 0.4f}, {foot + 0.02f, 0.33f}, {0.35f, 0.0f}, {0.35f, -0.36f}, {0, -0.3f}));
  toy_fill(drawing, TOY_BODY, 0.15f);
  toy_ellipse(drawing, 0, -0.35f, 0.365f, 0.085f);
  toy_fill(drawing, TOY_PLAIN, 0.02f);
  toy_ellipse(drawing, 0, -0.345f, 0.32f, 0.062f);
  toy_fill(drawing, TOY_DARK, 0);
  toy_ellipse(drawing, 0, -0.333f, 0.29f, 0.045f);
  toy_glaze(drawing, TOY_TRIM, 0.75f);
  draw_line(drawing, -0.27f, -0.18f, -0.25f, 0.2f, 0.035f);
  toy_glaze(drawing, TOY_LIGHT, 0.35f);
}

static void draw_pane(struct toy_drawing *drawing, float x, float y, float half) {
  toy_box(drawing, x - half - 0.025f, y - half - 0.025f, x + half + 0.025f, y + half + 0.025f, 0.015f);
  toy_fill(drawing, TOY_LIGHT, 0.012f);
  toy_box(drawing, x - half, y - half, x - 0.01f, y - 0.01f, 0.004f);
  toy_box(drawing, x + 0.01f, y - half, x + half, y - 0.01f, 0.004f);
  toy_box(drawing, x - half, y + 0.01f, x - 0.01f, y + half, 0.004f);
  toy_box(drawing, x + 0.01f, y + 0.01f, x + half, y + half, 0.004f);
  toy_fill(drawing, TOY_GLASS, 0);
}

static void draw_house(struct toy_drawing *drawing, struct rng *rng) {
  float ridge = toy_random(rng, -0.56f, -0.46f), door = toy_chance(rng, 0.5f) ? 0.2f : -0.02f;
  toy_box(drawing, 0.18f, ridge + 0.04f, 0.3f, -0.1f, 0.01f);
  toy_fill(drawing, TOY_PLAIN, 0.02f);
  toy_box(drawing, 0.165f, ridge + 0.01f, 0.315f, ridge + 0.06f, 0.01f);
  toy_fill(drawing, TOY_LIGHT, 0.01f);
  toy_path(drawing, POINTS({-0.42f, -0.15f}, {0, ridge + 0.06f}, {0.42f, -0.15f}, {0.42f, 0.45f}, {-0.42f, 0.45f}));
  toy_fill(drawing, TOY_BODY, 0.02f);
  toy_stroke(drawing, POINTS({-0.47f, -0.08f}, {0, ridge}, {0.47f, -0.08f}), 0.1f, 0.1f);
  toy_fill(drawing, TOY_TRIM, 0.03f);
  toy_ellipse(drawing, 0, ridge + 0.25f, 0.07f, 0.07f);
  toy_fill(drawing, TOY_LIGHT, 0.012f);
  toy_ellipse(drawing, 0, ridge + 0.25f, 0.048f, 0.048f);
  toy_fill(drawing, TOY_GLASS, 0);
  draw_pane(drawing, -0.24f, 0.12f, 0.085f);
  if (door < 0.1f) {
    draw_pane(drawing, 0.26f, 0.12f, 0.085f);
  }
  toy_box(drawing, door - 0.105f, 0.08f, door + 0.105f, 0.45f, 0.02f);
  toy_fill(drawing, TOY_LIGHT, 0.012f);
  toy_box(drawing, door - 0.08f, 0.105f, door + 0.08f, 0.45f, 0.015f);
  toy_fill(drawing, TOY_TRIM, 0.015f);
  toy_ellipse(drawing, door + 0.05f, 0.29f, 0.016f, 0.016f);
  toy_fill(drawing, TOY_LIGHT, 0);
  toy_box(drawing, -0.45f, 0.43f, 0.45f, 0.48f, 0.01f);
  toy_fill(drawing, TOY_PLAIN, 0.012f);
}

static void draw_star(struct toy_drawing *drawing, struct rng *rng) {
  struct toy_point points[20];
  float valley = toy_random(rng, 0.56f, 0.64f);
  for (int i = 0; i < 5; i++) {
    float angle = TURN * ((float)i / 5 - 0.25f);
    static const float steps[] = {-0.022f, 0.022f, 0.082f, 0.118f}, radii[] = {0.97f, 0.97f, 0, 0};
    for (int k = 0; k < 4; k++) {
      float radius = 0.5f * (k < 2 ? radii[k] : valley), a = angle + TURN * steps[k];
      points[4 * i + k] = (struct toy_point){radius * toy_cos(a), radius * toy_sin(a)};
    }
  }
  toy_curve(drawing, points, 20);
  toy_fill(drawing, TOY_BODY, 0.12f);
  toy_ellipse(drawing, -0.17f, 0.09f, 0.045f, 0.03f);
  toy_ellipse(drawing, 0.17f, 0.09f, 0.045f, 0.03f);
  toy_glaze(drawing, TOY_TRIM, 0.7f);
  draw_face(drawing, 0, 0.02f, 0.3f);
}

static void draw_balloon(struct toy_drawing *drawing, struct rng *rng) {
  float girth = toy_random(rng, 0.4f, 0.45f);
  for (int i = -1; i <= 1; i += 2) {
    float side = (float)i;
    draw_line(drawing, side * 0.11f, 0.24f, side * 0.085f, 0.46f, 0.014f);
    draw_line(drawing, side * 0.04f, 0.26f, side * 0.035f, 0.46f, 0.014f);
  }
  toy_fill(drawing, TOY_DARK, 0);
  toy_profile(drawing, POINTS({0.0f, -0.6f}, {girth * 0.5f, -0.56f}, {girth * 0.88f, -0.4f}, {girth, -0.2f},
                              {girth * 0.86f, 0.0f}, {girth * 0.55f, 0.16f}, {0.14f, 0.27f}, {0, 0.28f}));
  toy_fill(drawing, TOY_BODY, 0.22f);
  toy_profile(drawing, POINTS({0.0f, -0.61f}, {girth * 0.32f, -0.585f}, {girth * 0.42f, -0.55f}, {0, -0.53f}));
  toy_fill(drawing, TOY_TRIM, 0.02f);
  toy_profile(drawing, POINTS({0.0f, 0.2f}, {0.17f, 0.18f}, {0.185f, 0.215f}, {0.14f, 0.275f}, {0, 0.29f}));
  toy_fill(drawing, TOY_TRIM, 0.02f);
  toy_box(drawing, -0.1f, 0.43f, 0.1f, 0.58f, 0.03f);
  toy_fill(drawing, TOY_PLAIN, 0.025f);
  toy_box(drawing, -0.115f, 0.42f, 0.115f, 0.46f, 0.02f);
  toy_fill(drawing, TOY_TRIM, 0.015f);
  draw_arc(drawing, -0.02f, -0.18f, girth * 0.72f, 0.28f, 0.56f, 0.68f, 0.04f);
  toy_glaze(drawing, TOY_LIGHT, 0.4f);
}

static void draw_teapot(struct toy_drawing *drawing, struct rng *rng) {
  float belly = toy_random(rng, 0.33f, 0.36f), lid = toy_random(rng, 0.17f, 0.21f);
  draw_arc(drawing, -0.31f, 0.02f, 0.17f, 0.18f, 0.22f, 0.8f, 0.065f);
  toy_fill(drawing, TOY_PLAIN, 0.025f);
  toy_curve(drawing, POINTS({0.2f, 0.2f}, {0.34f, 0.13f}, {0.4f, 0.0f}, {0.45f, -0.16f}, {0.54f, -0.2f},
                            {0.56f, -0.16f}, {0.5f, -0.04f}, {0.46f, 0.12f}, {0.36f, 0.26f}, {0.22f, 0.32f}));
  toy_fill(drawing, TOY_PLAIN, 0.03f);
  toy_curve(drawing, POINTS({-0.2f, -0.24f}, {0, -0.27f}, {0.2f, -0.24f}, {belly - 0.02f, -0.06f}, {belly, 0.1f},
                            {belly - 0.08f, 0.29f}, {0.17f, 0.37f}, {0, 0.38f}, {-0.17f, 0.37f},
                            {-belly + 0.08f, 0.29f}, {-belly, 0.1f}, {-belly + 0.02f, -0.06f}));
  toy_fill(drawing, TOY_BODY, 0.17f);
  toy_ellipse(drawing, 0, -0.4f, 0.055f, 0.055f);
  toy_fill(drawing, TOY_TRIM, 0.02f);
  toy_curve(drawing, POINTS({-lid - 0.02f, -0.235f}, {-lid * 0.8f, -0.31f}, {0, -0.37f}, {lid * 0.8f, -0.31f},
                            {lid + 0.02f, -0.235f}, {0, -0.215f}));
  toy_fill(drawing, TOY_TRIM, 0.03f);
  toy_box(drawing, -0.19f, 0.355f, 0.19f, 0.405f, 0.02f);
  toy_fill(drawing, TOY_PLAIN, 0.012f);
  draw_arc(drawing, 0, 0.08f, belly * 0.75f, 0.26f, 0.54f, 0.66f, 0.035f);
  toy_glaze(drawing, TOY_LIGHT, 0.4f);
}

static void draw_gear(struct toy_drawing *drawing, struct rng *rng) {
  struct toy_point points[4 * 12];
  int teeth = 8 + (int)rng_below(rng, 5);
  float root = toy_random(rng, 0.38f, 0.41f), hole = toy_random(rng, 0.1f, 0.14f);
  static const float corners[] = {-0.3f, -0.19f, 0.19f, 0.3f};
  for (int i = 0; i < teeth; i++) {
    for (int k = 0; k < 4; k++) {
      float angle = TURN * ((float)i + corners[k]) / (float)teeth, radius = k == 0 || k == 3 ? root : 0.5f;
      points[4 * i + k] = (struct toy_point){radius * toy_cos(angle), radius * toy_sin(angle)};
    }
  }
  toy_path(drawing, points, 4 * teeth);
  toy_hole(drawing, 0, 0, hole);
  toy_fill(drawing, TOY_BODY, 0.035f);
  toy_ellipse(drawing, 0, 0, hole + 0.075f, hole + 0.075f);
  toy_hole(drawing, 0, 0, hole);
  toy_fill(drawing, TOY_TRIM, 0.03f);
  for (int i = 0; i < 6; i++) {
    float angle = TURN * (float)i / 6;
    toy_ellipse(drawing, 0.3f * toy_cos(angle), 0.3f * toy_sin(angle), 0.028f, 0.028f);
  }
  toy_fill(drawing, TOY_LIGHT, 0.015f);
}

static const struct {
  const char *name;
  enum toy_group group;
  void (*draw)(struct toy_drawing *drawing, struct rng *rng);
} shapes[TOY_SHAPES] = {
    [TOY_BOTTLE] = {"bottle", TOY_TALL, draw_bottle},
    [TOY_TOWER] = {"tower", TOY_TALL, draw_tower},
    [TOY_CACTUS] = {"cactus", TOY_TALL, draw_cactus},
    [TOY_FISH] = {"fish", TOY_WIDE, draw_fish},
    [TOY_CAR] = {"car", TOY_WIDE, draw_car},
    [TOY_CATERPILLAR] = {"caterpillar", TOY_WIDE, draw_caterpillar},
    [TOY_MUG] = {"mug", TOY_SQUARE, draw_mug},
    [TOY_HOUSE] = {"house", TOY_SQUARE, draw_house},
    [TOY_STAR] = {"star", TOY_SQUARE, draw_star},
    [TOY_BALLOON] = {"balloon", TOY_SQUARE, draw_balloon},
    [TOY_TEAPOT] = {"teapot", TOY_SQUARE, draw_teapot},
    [TOY_GEAR] = {"gear", TOY_SQUARE, draw_gear},
};

const char *toy_shape_name(enum toy_shape shape) {
  return shapes[shape].name;
}

enum toy_group toy_shape_group(enum toy_shape shape) {
  return shapes[shape].group;
}

/* Drawn, centred, and scaled so that sqrt(width * height) is 1. */
void toy_shape_draw(struct toy_drawing *drawing, enum toy_shape shape, struct rng *rng) {
  toy_clear(drawing);
  shapes[shape].draw(drawing, rng);
  struct toy_bounds bounds = toy_drawing_bounds(drawing);
  float x = 0.5f * (bounds.x0 + bounds.x1), y = 0.5f * (bounds.y0 + bounds.y1);
  float scale = 1.0f / sqrtf((bounds.x1 - bounds.x0) * (bounds.y1 - bounds.y0));
  for (int i = 0; i < drawing->point_count; i++) {
    drawing->points[i].x = (drawing->points[i].x - x) * scale;
    drawing->points[i].y = (drawing->points[i].y - y) * scale;
  }
}
