#include "nn/cpu/onednn.h"

#include <stdlib.h>

int onednn_check(dnnl_status_t status, const char *call, const char *layer, struct error *error) {
  switch (status) {
  case dnnl_success:
    return 0;
  case dnnl_out_of_memory:
    return error_set(error, "%s: oneDNN's %s is out of memory: use a smaller batch", layer, call);
  case dnnl_unimplemented:
    return error_set(error, "%s: oneDNN %d.%d.%d has no %s for this shape and precision on this processor: try f32",
                     layer, dnnl_version()->major, dnnl_version()->minor, dnnl_version()->patch, call);
  default:
    return error_set(error, "%s: oneDNN's %s failed with status %d: set DNNL_VERBOSE=1 to see what it was asked", layer,
                     call, (int)status);
  }
}

const char *onednn_implementation(const_dnnl_primitive_desc_t desc) {
  const char *name = "unknown";
  if (dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name)) return "unknown";
  return name;
}

#if DNNL_VERSION_MAJOR < 3

dnnl_status_t dnnl_memory_desc_create_with_tag(onednn_desc *desc, int ndims, const dnnl_dims_t dims,
                                               dnnl_data_type_t dtype, dnnl_format_tag_t tag) {
  *desc = malloc(sizeof **desc);
  if (!*desc) return dnnl_out_of_memory;
  dnnl_status_t status = dnnl_memory_desc_init_by_tag(*desc, ndims, dims, dtype, tag);
  if (status) {
    free(*desc);
    *desc = NULL;
  }
  return status;
}

dnnl_status_t dnnl_memory_desc_destroy(onednn_desc desc) {
  free(desc);
  return dnnl_success;
}

static dnnl_status_t pick(dnnl_primitive_desc_t *made, dnnl_engine_t engine, const void *description,
                          const_dnnl_primitive_attr_t attr, int number) {
  dnnl_primitive_desc_iterator_t iterator;
  dnnl_status_t status = dnnl_primitive_desc_iterator_create(&iterator, description, attr, engine, NULL);
  if (status) return status;
  while (!status && number-- > 0) {
    status = dnnl_primitive_desc_iterator_next(iterator);
  }
  *made = status ? NULL : dnnl_primitive_desc_iterator_fetch(iterator);
  dnnl_primitive_desc_iterator_destroy(iterator);
  return status == dnnl_iterator_ends ? dnnl_unimplemented : !status && !*made ? dnnl_out_of_memory : status;
}

dnnl_status_t onednn_convolution(dnnl_primitive_desc_t *made, dnnl_engine_t engine, const struct onednn_convolution *c,
                                 const_dnnl_primitive_attr_t attr, int number) {
  dnnl_convolution_desc_t desc;
  dnnl_status_t status;
  if (c->kind == dnnl_backward_data) {
    status = dnnl_dilated_convolution_backward_data_desc_init(&desc, dnnl_convolution_direct, c->x, c->weights, c->y,
                                                              c->strides, c->dilates, c->pads, c->pads);
  } else if (c->kind == dnnl_backward_weights) {
    status = dnnl_dilated_convolution_backward_weights_desc_init(
        &desc, dnnl_convolution_direct, c->x, c->weights, c->bias, c->y, c->strides, c->dilates, c->pads, c->pads);
  } else {
    status = dnnl_dilated_convolution_forward_desc_init(&desc, c->kind, dnnl_convolution_direct, c->x, c->weights,
                                                        c->bias, c->y, c->strides, c->dilates, c->pads, c->pads);
  }
  return status ? status : pick(made, engine, &desc, attr, number);
}

dnnl_status_t onednn_matmul(dnnl_primitive_desc_t *made, dnnl_engine_t engine, onednn_const_desc a, onednn_const_desc b,
                            onednn_const_desc bias, onednn_const_desc y, const_dnnl_primitive_attr_t attr, int number) {
  dnnl_matmul_desc_t desc;
  dnnl_status_t status = dnnl_matmul_desc_init(&desc, a, b, bias, y);
  return status ? status : pick(made, engine, &desc, attr, number);
}

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post_ops) {
  return dnnl_post_ops_append_eltwise(post_ops, 1, dnnl_eltwise_relu, 0, 0);
}

dnnl_status_t onednn_append_sum(dnnl_post_ops_t post_ops) {
  return dnnl_post_ops_append_sum(post_ops, 1);
}

#else

static dnnl_status_t pick(dnnl_primitive_desc_t *made, int number) {
  dnnl_status_t status = dnnl_success;
  while (!status && number-- > 0) {
    status = dnnl_primitive_desc_next_impl(*made);
  }
  if (!status) return dnnl_success;
  dnnl_primitive_desc_destroy(*made);
  *made = NULL;
  return status == dnnl_last_impl_reached ? dnnl_unimplemented : status;
}

dnnl_status_t onednn_convolution(dnnl_primitive_desc_t *made, dnnl_engine_t engine, const struct onednn_convolution *c,
                                 const_dnnl_primitive_attr_t attr, int number) {
  dnnl_status_t status;
  if (c->kind == dnnl_backward_data) {
    status = dnnl_convolution_backward_data_primitive_desc_create(made, engine, dnnl_convolution_direct, c->x,
                                                                  c->weights, c->y, c->strides, c->dilates, c->pads,
                                                                  c->pads, NULL, attr);
  } else if (c->kind == dnnl_backward_weights) {
    status = dnnl_convolution_backward_weights_primitive_desc_create(made, engine, dnnl_convolution_direct, c->x,
                                                                     c->weights, c->bias, c->y, c->strides, c->dilates,
                                                                     c->pads, c->pads, NULL, attr);
  } else {
    status =
        dnnl_convolution_forward_primitive_desc_create(made, engine, c->kind, dnnl_convolution_direct, c->x, c->weights,
                                                       c->bias, c->y, c->strides, c->dilates, c->pads, c->pads, attr);
  }
  return status ? status : pick(made, number);
}

dnnl_status_t onednn_matmul(dnnl_primitive_desc_t *made, dnnl_engine_t engine, onednn_const_desc a, onednn_const_desc b,
                            onednn_const_desc bias, onednn_const_desc y, const_dnnl_primitive_attr_t attr, int number) {
  dnnl_status_t status = dnnl_matmul_primitive_desc_create(made, engine, a, b, bias, y, attr);
  return status ? status : pick(made, number);
}

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post_ops) {
  return dnnl_post_ops_append_eltwise(post_ops, dnnl_eltwise_relu, 0, 0);
}

dnnl_status_t onednn_append_sum(dnnl_post_ops_t post_ops) {
  return dnnl_post_ops_append_sum(post_ops, 1, 0, dnnl_data_type_undef);
}

#endif
