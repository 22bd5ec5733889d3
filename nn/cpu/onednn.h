/* nn/cpu/onednn - oneDNN's C API in the shape of version 3, where version 2 is installed too, and its failures as
 * errors. Version 2 describes an operation in two steps (descriptor, then primitive descriptor) and walks through
 * implementations with an iterator; onednn_convolution and onednn_matmul hide both.
 */
#ifndef JIGSAW_NN_CPU_ONEDNN_H
#define JIGSAW_NN_CPU_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>

#include "core/base/base.h"

#if DNNL_VERSION_MAJOR < 3
typedef dnnl_memory_desc_t *onednn_desc; /* what version 3 calls dnnl_memory_desc_t */
typedef const dnnl_memory_desc_t *onednn_const_desc;
dnnl_status_t dnnl_memory_desc_create_with_tag(onednn_desc *desc, int ndims, const dnnl_dims_t dims,
                                               dnnl_data_type_t dtype, dnnl_format_tag_t tag);
dnnl_status_t dnnl_memory_desc_destroy(onednn_desc desc);
#else
typedef dnnl_memory_desc_t onednn_desc;
typedef const_dnnl_memory_desc_t onednn_const_desc;
#endif

/* 0, or an error that names the call, the layer it was made for, and what to do: use it as
 * ONEDNN(error, layer, dnnl_stream_create, &stream, engine, flags). */
int onednn_check(dnnl_status_t status, const char *call, const char *layer, struct error *error);
#define ONEDNN(error, layer, function, ...) onednn_check(function(__VA_ARGS__), #function, layer, error)

struct onednn_convolution {
  dnnl_prop_kind_t kind;                 /* forward_training or _inference, backward_data, backward_weights */
  onednn_const_desc x, weights, bias, y; /* or their gradients; bias may be NULL */
  dnnl_dims_t strides, dilates, pads;    /* dilates: 0 is none; pads: the same on both sides */
};

/* Implementation `number` of those oneDNN has for it, best first in its own judgement; `attr` may be NULL.
 * dnnl_unimplemented when there are no more. */
dnnl_status_t onednn_convolution(dnnl_primitive_desc_t *made, dnnl_engine_t engine,
                                 const struct onednn_convolution *convolution, const_dnnl_primitive_attr_t attr,
                                 int number);
dnnl_status_t onednn_matmul(dnnl_primitive_desc_t *made, dnnl_engine_t engine, onednn_const_desc a, onednn_const_desc b,
                            onednn_const_desc bias, onednn_const_desc y, const_dnnl_primitive_attr_t attr, int number);

dnnl_status_t onednn_append_relu(dnnl_post_ops_t post_ops);
dnnl_status_t onednn_append_sum(dnnl_post_ops_t post_ops);

const char *onednn_implementation(const_dnnl_primitive_desc_t desc); /* "brgconv:avx512_core_bf16", ... */

#endif
