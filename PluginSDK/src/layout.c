// The layout of every struct of the ABI on 64-bit machines. A failing line is an ABI break to undo,
// not an assertion to update (while the major version is 0: raise BH_ABI_MINOR with it).
#include "billhook/billhook.h"

#define AT(type, field, offset) \
  _Static_assert(offsetof(type, field) == (offset), #type "." #field " moved")
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size")

AT(bh_tensor, data, 0);
AT(bh_tensor, ndim, 16);
AT(bh_tensor, code, 20);
AT(bh_tensor, lanes, 22);
AT(bh_tensor, shape, 24);
AT(bh_tensor, strides, 32);
AT(bh_tensor, byte_offset, 40);
SIZE(bh_tensor, 48);

AT(bh_value, u, 8);
SIZE(bh_value, 16);

AT(bh_host, abi_major, 4);
AT(bh_host, name, 8);
AT(bh_host, log, 24);
AT(bh_host, fail, 32);
AT(bh_host, scratch, 40);
AT(bh_host, parallel_for, 48);
AT(bh_host, cancelled, 56);
AT(bh_host, progress, 64);
AT(bh_host, random, 72);
AT(bh_host, get_extension, 80);
SIZE(bh_host, 88);

AT(bh_call, host, 8);
AT(bh_call, host_data, 16);
AT(bh_call, next, 24);
SIZE(bh_call, 32);

AT(bh_writer, write, 8);
SIZE(bh_writer, 16);
AT(bh_reader, read, 8);
SIZE(bh_reader, 16);

AT(bh_layer, index, 8);
AT(bh_layer, name, 16);
AT(bh_layer, out_axis, 32);
AT(bh_layer, groups, 40);
AT(bh_layer, shape, 56);
AT(bh_layer, element_begin, 64);
AT(bh_layer, sample_begin, 72);
AT(bh_layer, next, 88);
SIZE(bh_layer, 96);

AT(bh_score_in, weight, 8);
AT(bh_score_in, grad, 16);
AT(bh_score_in, mask, 24);
AT(bh_score_in, in_abs_mean, 32);
AT(bh_score_in, in_gram, 48);
AT(bh_score_in, out_zero_fraction, 64);
AT(bh_score_in, n_samples, 72);
AT(bh_score_in, block, 80);
AT(bh_score_in, next, 96);
SIZE(bh_score_in, 104);
AT(bh_scorer, observe, 8);
AT(bh_scorer, merge, 16);
AT(bh_scorer, score, 24);
SIZE(bh_scorer, 32);

AT(bh_feature, student, 8);
AT(bh_feature, grad_student_out, 24);
SIZE(bh_feature, 32);
AT(bh_loss_io, student, 8);
AT(bh_loss_io, sample_weight, 32);
AT(bh_loss_io, features, 40);
AT(bh_loss_io, grad_scale, 56);
AT(bh_loss_io, loss_sum_out, 80);
AT(bh_loss_io, grad_student_out, 96);
AT(bh_loss_io, next, 104);
SIZE(bh_loss_io, 112);
AT(bh_loss, compute, 8);
SIZE(bh_loss, 16);

AT(bh_qlayout, formula, 8);
AT(bh_qlayout, q_code, 12);
AT(bh_qlayout, qmin, 16);
AT(bh_qlayout, symmetric, 32);
AT(bh_qlayout, axis, 40);
AT(bh_qlayout, block_size, 48);
AT(bh_qlayout, storage, 64);
AT(bh_qlayout, pack_order, 72);
AT(bh_qlayout, storage_id, 80);
SIZE(bh_qlayout, 88);
AT(bh_qparams, scale, 8);
AT(bh_qparams, table, 24);
SIZE(bh_qparams, 32);
AT(bh_quantizer, layout, 8);
AT(bh_quantizer, calibrate, 24);
AT(bh_quantizer, dequantize, 40);
AT(bh_quantizer, fake_quant_grad, 56);
SIZE(bh_quantizer, 64);
AT(bh_quant_export, pack, 16);
SIZE(bh_quant_export, 32);

AT(bh_soft_target, student, 24);
AT(bh_soft_target, temperature, 56);
AT(bh_soft_target, weight_sum, 96);
SIZE(bh_soft_target, 104);
AT(bh_kernel_table, abs_power, 8);
AT(bh_kernel_table, min_max, 32);
AT(bh_kernel_table, soft_target_loss, 64);
AT(bh_kernel_table, axis_sums, 72);
AT(bh_kernel_table, block_abs_max, 128);
AT(bh_kernel_table, unpack_bits, 168);
SIZE(bh_kernel_table, 176);

AT(bh_param, key, 16);
AT(bh_param, def, 40);
AT(bh_param, choices, 72);
SIZE(bh_param, 80);
AT(bh_plugin, caps, 8);
AT(bh_plugin, id, 24);
AT(bh_plugin, n_params, 56);
AT(bh_plugin, state_version, 68);
AT(bh_plugin, params, 72);
AT(bh_plugin, dtypes, 80);
AT(bh_plugin, validate, 88);
AT(bh_plugin, create, 96);
AT(bh_plugin, reset, 112);
AT(bh_plugin, load, 128);
AT(bh_plugin, vtable, 136);
AT(bh_plugin, get_extension, 144);
SIZE(bh_plugin, 152);
AT(bh_module, abi_major, 8);
AT(bh_module, id, 16);
AT(bh_module, n_plugins, 56);
AT(bh_module, init, 72);
AT(bh_module, fini, 80);
SIZE(bh_module, 88);
