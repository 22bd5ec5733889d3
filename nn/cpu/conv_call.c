#include "nn/cpu/conv.h"

#include <string.h>

dnnl_data_type_t conv_dtype(enum nn_dtype dtype) {
  return dtype == NN_BF16 ? dnnl_bf16 : dnnl_f32;
}

onednn_desc conv_desc(int rank, const int64_t dims[], dnnl_data_type_t dtype, dnnl_format_tag_t tag) {
  onednn_desc desc;
  dnnl_dims_t all = {0}; /* a full-sized array, as the C API asks for */
  memcpy(all, dims, (size_t)rank * sizeof *dims);
  return dnnl_memory_desc_create_with_tag(&desc, rank, all, dtype, tag) ? NULL : desc;
}

onednn_desc conv_desc_nhwc(struct nn_shape shape, enum nn_dtype dtype) {
  return conv_desc(4, (int64_t[]){shape.n, shape.c, shape.h, shape.w}, conv_dtype(dtype), dnnl_nhwc);
}

int conv_attr_create(dnnl_primitive_attr_t *attr, const char *layer, struct error *error) {
  if (ONEDNN(error, layer, dnnl_primitive_attr_create, attr)) return -1;
  if (!ONEDNN(error, layer, dnnl_primitive_attr_set_scratchpad_mode, *attr, dnnl_scratchpad_mode_user)) return 0;
  dnnl_primitive_attr_destroy(*attr);
  *attr = NULL;
  return -1;
}

static int add_operand(struct conv_call *call, const struct cpu_context *context, dnnl_primitive_desc_t desc,
                       int argument, const char *layer, struct error *error) {
  onednn_const_desc operand = dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, argument);
  dnnl_exec_arg_t *made = &call->operands[call->count];
  made->arg = argument;
  if (ONEDNN(error, layer, dnnl_memory_create, &made->memory, operand, context->engine, DNNL_MEMORY_NONE)) return -1;
  call->count++;
  return 0;
}

int conv_call_create(struct conv_call *call, const struct cpu_context *context, dnnl_primitive_desc_t desc,
                     const int arguments[], int count, const char *layer, struct error *error) {
  *call = (struct conv_call){0};
  if (ONEDNN(error, layer, dnnl_primitive_create, &call->primitive, desc)) goto failed;
  for (int i = 0; i < count; i++) {
    if (add_operand(call, context, desc, arguments[i], layer, error)) goto failed;
  }
  call->scratch = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0));
  if (call->scratch && add_operand(call, context, desc, DNNL_ARG_SCRATCHPAD, layer, error)) goto failed;
  dnnl_primitive_desc_destroy(desc);
  return 0;

failed:
  conv_call_free(call);
  dnnl_primitive_desc_destroy(desc);
  return -1;
}

int conv_call_run(const struct conv_call *call, const struct cpu_context *context, void *const memory[], void *scratch,
                  const char *layer, struct error *error) {
  for (int i = 0; i < call->count; i++) {
    void *at = call->operands[i].arg == DNNL_ARG_SCRATCHPAD ? scratch : memory[i];
    if (ONEDNN(error, layer, dnnl_memory_set_data_handle, call->operands[i].memory, at)) return -1;
  }
  if (ONEDNN(error, layer, dnnl_primitive_execute, call->primitive, context->stream, call->count, call->operands)) {
    return -1;
  }
  return ONEDNN(error, layer, dnnl_stream_wait, context->stream);
}

void conv_call_free(struct conv_call *call) {
  for (int i = 0; i < call->count; i++) {
    dnnl_memory_destroy(call->operands[i].memory);
  }
  if (call->primitive) dnnl_primitive_destroy(call->primitive);
  *call = (struct conv_call){0};
}

int conv_call_reorder(struct conv_call *call, const struct cpu_context *context, onednn_const_desc from,
                      onednn_const_desc to, const char *layer, struct error *error) {
  dnnl_primitive_attr_t attr;
  if (conv_attr_create(&attr, layer, error)) return -1;
  dnnl_primitive_desc_t desc;
  int result =
      ONEDNN(error, layer, dnnl_reorder_primitive_desc_create, &desc, from, context->engine, to, context->engine, attr);
  if (!result) result = conv_call_create(call, context, desc, (int[]){DNNL_ARG_FROM, DNNL_ARG_TO}, 2, layer, error);
  dnnl_primitive_attr_destroy(attr);
  return result;
}
