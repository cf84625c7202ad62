// Plans: a list of operations over values, compiled once for fixed shapes and run many times.
//
// The caller adds operations in the order in which they run. The kernel core chooses the memory
// layout of each value, reorders only where two neighbours disagree, packs constants once, and
// puts all intermediate values into one arena by their lifetimes. The caller never sees a layout:
// values go in and out in plain row-major order.
//
// Values are named by small integers. Every function that makes one returns BH_PLAN_ERROR when it
// cannot, with a sentence in bh_plan_error. Shapes: activations [N, C, D...], convolution weights
// [O, I / groups, K...], matrices as stated. One thread at a time may use a plan.
#ifndef BH_PLAN_H
#define BH_PLAN_H

#include <stdint.h>

#include "bh_activation.h"
#include "bh_broadcast.h"
#include "bh_rotary.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_PLAN_ERROR (-1)
#define BH_PLAN_NONE (-1)      // an optional value that is left out
#define BH_PLAN_MAX_RANK 12

#define BH_TYPE_F32 1          // the numbers of ONNX's data types
#define BH_TYPE_U8 2
#define BH_TYPE_S8 3
#define BH_TYPE_S32 6

typedef struct bh_plan bh_plan;

// A window that slides over up to three spatial axes; unused axes hold 1, 1, 1, 0, 0.
typedef struct bh_window {
  int64_t spatial_axes;        // 1 to 3
  int64_t kernel[3];           // pooling only; a convolution takes it from its weights
  int64_t stride[3];
  int64_t dilation[3];         // 1 = dense
  int64_t pad_begin[3];
  int64_t pad_end[3];
  int64_t groups;              // convolution only
} bh_window;

#define BH_POOL_MAX 0
#define BH_POOL_AVERAGE_EXCLUDE_PAD 1
#define BH_POOL_AVERAGE_INCLUDE_PAD 2

// An empty plan; null when memory is short.
bh_plan *bh_plan_new(void);
void bh_plan_free(bh_plan *plan);
// Why the last call failed; valid until the next call. Never null.
const char *bh_plan_error(const bh_plan *plan);

// --- Values from outside -------------------------------------------------------------------------

// A value that each run gets by pointer, in plain layout.
int32_t bh_plan_input(bh_plan *plan, int32_t type, int32_t rank, const int64_t *dims);
// A tensor that never changes. The bytes are copied.
int32_t bh_plan_constant(bh_plan *plan, int32_t type, int32_t rank, const int64_t *dims,
                         const void *data);
// The same of bytes that are lent, aligned as their type needs it: not copied but read until the plan
// does not need them any more, at the latest in bh_plan_finish, and then given back by `release`.
// They are not taken when this fails.
int32_t bh_plan_lent_constant(bh_plan *plan, int32_t type, int32_t rank, const int64_t *dims,
                              const void *data, void (*release)(void *owner), void *owner);
// A float tensor that stays between runs and may change: a weight in training, a statistic.
int32_t bh_plan_parameter(bh_plan *plan, int32_t rank, const int64_t *dims, const float *data);

// --- Layers --------------------------------------------------------------------------------------

// y = functions(conv(x, w) + bias + residual). bias [O] and residual (shape of y) may be NONE; the
// `count` functions are applied one after the other.
int32_t bh_plan_conv(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window *window,
                     int32_t residual, const bh_activation *functions, int32_t count);
int32_t bh_plan_conv_backward_data(bh_plan *plan, int32_t dy, int32_t w, int32_t x,
                                   const bh_window *window);
// Writes dw in the layout of w, and db [O] unless `bias` is NONE.
int32_t bh_plan_conv_backward_weights(bh_plan *plan, int32_t dy, int32_t x, int32_t w, int32_t bias,
                                      const bh_window *window, int32_t *dw, int32_t *db);

// y[N, O] = functions(x[N, K] . w^T + bias + residual); w is [O, K]. bias and residual may be NONE.
int32_t bh_plan_dense(bh_plan *plan, int32_t x, int32_t w, int32_t bias, int32_t residual,
                      const bh_activation *functions, int32_t count);
int32_t bh_plan_dense_backward_data(bh_plan *plan, int32_t dy, int32_t w, int32_t x);
int32_t bh_plan_dense_backward_weights(bh_plan *plan, int32_t dy, int32_t x, int32_t w, int32_t bias,
                                       int32_t *dw, int32_t *db);

// y = functions(transposed convolution of x by w + bias); w is [C, M / groups, K...]. The padding
// behind each axis follows from out_dims.
int32_t bh_plan_deconv(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window *window,
                       const int64_t *out_dims, const bh_activation *functions, int32_t count);

// C[..., M, N] = functions(A[..., M, K] . B[..., K, N] + bias); a flag swaps the last two axes of a
// factor first. The leading axes broadcast. bias [N] may be NONE. Matrices of 32 rows and more, and
// stacks of 4 and more, are multiplied in a fixed partition: the same bits for any number of threads.
int32_t bh_plan_matmul(bh_plan *plan, int32_t a, int32_t b, int32_t bias, int32_t transpose_a,
                       int32_t transpose_b, const bh_activation *functions, int32_t count);

typedef struct bh_attention {
  float scale;
  float cap;                  // a score s becomes cap tanh(s / cap); 0 leaves it
  int32_t hidden_is_zero;     // a query whose keys are all masked with minus infinity gets 0, not NaN
  int32_t undefined_is_zero;  // a query gets 0 wherever it would get NaN from its scores
  int32_t is_causal;          // query i sees the keys up to i + past
  int64_t past;
} bh_attention;

// Attention of many heads: softmax(capped(scale q . k^T) + mask) . v. Several neighbouring heads of q
// may share a head of k and v. q, k, v have four axes; `orders` tells,
// four numbers for each, which of them are image, head, query and element of q; image, head, element
// and key of k; image, head, key and element of v; and of which of image, head, query and element
// each axis of the result is. The elements of a head lie side by side in all. mask may be NONE, and
// broadcasts to [image, head, query, key] but along the keys.
int32_t bh_plan_attention(bh_plan *plan, int32_t q, int32_t k, int32_t v, int32_t mask,
                          const int32_t *orders, const bh_attention *form);

// Turns pairs of channels of x, whose axes are as `form` says (bh_rotary.h); cosines and sines have
// form->images * form->steps * form->rotated / 2 elements.
int32_t bh_plan_rotary(bh_plan *plan, int32_t x, int32_t cosines, int32_t sines,
                       const bh_rotary *form);

#define BH_RECURRENT_SIMPLE 0
#define BH_RECURRENT_GRU 1
#define BH_RECURRENT_LSTM 2

// A recurrent layer as ONNX defines RNN, GRU and LSTM, with sigmoid and tanh (SIMPLE: tanh or ReLU).
typedef struct bh_recurrent {
  int32_t kind;
  int32_t directions;           // 1 or 2; the second starts at the end of the sequences
  int32_t backwards;            // the first does too
  int32_t batch_first;          // x is [N, T, I] instead of [T, N, I], and so on
  int32_t linear_before_reset;  // GRU
  int32_t coupled;              // LSTM: the forget gate is 1 - the input gate
  int32_t relu;                 // SIMPLE
  float limit;                  // clips what goes into the activations; INFINITY: does not
} bh_recurrent;

// y [T, D, N, H] (batch_first: [N, T, D, H]), the last states [D, N, H] ([N, D, H]) and an LSTM's last
// cells. w [D, gates * H, I]; r [D, gates * H, H]. Optional, else NONE: bias [D, 2 * gates * H],
// lengths [N] (int32, 0 to T; checked in each run), the first states and cells, peepholes [D, 3 * H].
int32_t bh_plan_recurrent(bh_plan *plan, const bh_recurrent *form, int32_t x, int32_t w, int32_t r,
                          int32_t bias, int32_t lengths, int32_t state, int32_t cell,
                          int32_t peepholes, int32_t *last_state, int32_t *last_cell);

// In: not 0 for what is wanted. Out: the value, or NONE for what was not wanted or has no input.
typedef struct bh_recurrent_gradients {
  int32_t dx, dw, dr, d_bias, d_state, d_cell, d_peepholes;
} bh_recurrent_gradients;

// Through time. y: what bh_plan_recurrent returned, of a layer without limit and coupled gates; dy and
// the gradients of the last states and cells may be NONE. At most once for each layer.
int32_t bh_plan_recurrent_backward(bh_plan *plan, int32_t y, int32_t dy, int32_t d_last,
                                   int32_t d_last_cell, bh_recurrent_gradients *out);

// Batch normalisation over axis 1 by given statistics. All vectors are [C].
int32_t bh_plan_batch_norm(bh_plan *plan, int32_t x, int32_t scale, int32_t shift, int32_t mean,
                           int32_t variance, float epsilon);
// By the batch's own statistics, with a ReLU behind it if wanted. running_mean and
// running_variance are parameters: r <- m * r + (1 - m) * batch's (the variance of the population),
// with m the node's momentum or the one set by bh_plan_set_momentum.
int32_t bh_plan_batch_norm_training(bh_plan *plan, int32_t x, int32_t scale, int32_t shift,
                                    int32_t running_mean, int32_t running_variance, float epsilon,
                                    float momentum, int32_t relu);
// y: what bh_plan_batch_norm_training returned. Returns dx.
int32_t bh_plan_batch_norm_backward(bh_plan *plan, int32_t y, int32_t dy, int32_t *dscale,
                                    int32_t *dshift);

// Over the axes from `axis` on: (x - mean) / sqrt(variance + epsilon) * scale + shift, or without
// the mean, x / sqrt(mean square + epsilon) * scale + shift. scale and shift have an element for each
// of a row, and may be NONE.
int32_t bh_plan_layer_norm(bh_plan *plan, int32_t x, int32_t scale, int32_t shift, int32_t axis,
                           float epsilon, int32_t subtract_mean);
// Returns dx. dscale and dshift [row's elements] may be null, for what is not wanted.
int32_t bh_plan_layer_norm_backward(bh_plan *plan, int32_t dy, int32_t x, int32_t scale,
                                    int32_t axis, float epsilon, int32_t subtract_mean,
                                    int32_t *dscale, int32_t *dshift);

// Each image's elements in `groups` equal runs: functions((x - mean) / sqrt(variance + epsilon) * scale
// + shift).
// A run has `channels` equal parts; scale and shift have an element for each part of each group, and
// may be NONE.
int32_t bh_plan_group_norm(bh_plan *plan, int32_t x, int32_t scale, int32_t shift, int64_t groups,
                           int64_t channels, float epsilon, const bh_activation *functions,
                           int32_t count);

// --- Pooling, activations, arithmetic --------------------------------------------------------------

int32_t bh_plan_pool(bh_plan *plan, int32_t x, int32_t kind, const bh_window *window,
                     const int64_t *out_dims, int32_t training);
// One scale and zero point for a whole value; type is BH_TYPE_U8 or BH_TYPE_S8.
typedef struct bh_quantization {
  int32_t type;
  float scale;
  int32_t zero_point;
} bh_quantization;

// What a maximum is cut to, from the bottom first; infinities cut nothing.
typedef struct bh_bounds {
  float low, high;
} bh_bounds;

// quantize(cut(max pooling of x)), in one pass where the layouts allow it; null leaves floats. For
// inference.
int32_t bh_plan_max_pool(bh_plan *plan, int32_t x, const bh_window *window, const int64_t *out_dims,
                         bh_bounds bounds, const bh_quantization *quantization);
// quantize(cut(max pooling(convolution))): a convolution and the pooling behind it, in one pass where
// there are few channels to read, else one after the other. For inference; w is a constant.
int32_t bh_plan_conv_pool(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window *window,
                          const bh_window *pooling, const int64_t *out_dims, bh_bounds bounds,
                          const bh_quantization *quantization);
// y: what bh_plan_pool returned for x, in training.
int32_t bh_plan_pool_backward(bh_plan *plan, int32_t dy, int32_t y, int32_t x);

// The functions, one after the other, of each element.
int32_t bh_plan_activation(bh_plan *plan, int32_t x, const bh_activation *functions, int32_t count);
// dx from dy and y = activation(x). y tells the slopes of RELU, CLIP and SIGMOID, for which x may be
// NONE; x those of all others, for which y may be. The slope of CLIP is 0 at both ends.
int32_t bh_plan_activation_backward(bh_plan *plan, int32_t dy, int32_t x, int32_t y,
                                    bh_activation activation);

// Element-wise with ONNX (NumPy) broadcasting; out_dims is the broadcast shape.
int32_t bh_plan_binary(bh_plan *plan, int32_t a, int32_t b, int32_t kind, int32_t rank,
                       const int64_t *out_dims);
// x where it is above 0, else slope * x; slope spreads to the shape of x.
int32_t bh_plan_prelu(bh_plan *plan, int32_t x, int32_t slope);
// y = alpha * x + beta.
int32_t bh_plan_linear(bh_plan *plan, int32_t x, float alpha, float beta);
// Sums x over the axes in which dims is 1 (or which it lacks in front) and x is not: the gradient
// of a broadcast.
int32_t bh_plan_reduce_to(bh_plan *plan, int32_t x, int32_t rank, const int64_t *dims);

// A reduction (BH_REDUCE_*) over `axes` neighbouring axes from `first` on; out_dims may keep them.
int32_t bh_plan_reduce(bh_plan *plan, int32_t x, int32_t kind, int32_t first, int32_t axes,
                       int32_t rank, const int64_t *out_dims);

int32_t bh_plan_softmax(bh_plan *plan, int32_t x, int32_t axis);
int32_t bh_plan_log_softmax(bh_plan *plan, int32_t x, int32_t axis);
int32_t bh_plan_softmax_backward(bh_plan *plan, int32_t dy, int32_t y, int32_t axis);

// x * mask / (1 - ratio); a new mask each run, a function of (seed, stream, run, element).
int32_t bh_plan_dropout(bh_plan *plan, int32_t x, float ratio, uint64_t seed, uint64_t stream);
// y: what bh_plan_dropout returned.
int32_t bh_plan_dropout_backward(bh_plan *plan, int32_t dy, int32_t y);

// How one axis is resized: of each of `out` places `taps` places of the input with their weights, one
// after the other. The arrays are copied.
typedef struct bh_resize_axis {
  int64_t out, taps;
  const int32_t *indices;      // [out, taps]
  const float *weights;        // [out, taps]
} bh_resize_axis;

// Resizes the last two axes of x [N, C, H, W]; axes: those two.
int32_t bh_plan_resize(bh_plan *plan, int32_t x, const bh_resize_axis *axes);

// --- Shapes --------------------------------------------------------------------------------------

int32_t bh_plan_reshape(bh_plan *plan, int32_t x, int32_t rank, const int64_t *dims);
int32_t bh_plan_transpose(bh_plan *plan, int32_t x, const int32_t *permutation);
int32_t bh_plan_concat(bh_plan *plan, const int32_t *xs, int32_t count, int32_t axis);
// The part of x that starts at `begin` and has shape `dims`.
int32_t bh_plan_slice(bh_plan *plan, int32_t x, const int64_t *begin, const int64_t *dims);

// y[i] = x[source[i]], or `fill` where that is negative, for the elements of y in row-major order.
int32_t bh_plan_pick(bh_plan *plan, int32_t x, int32_t rank, const int64_t *dims,
                     const int64_t *source, float fill);
// y: what bh_plan_pick returned. An element that went to several places gets the sum of theirs.
int32_t bh_plan_pick_backward(bh_plan *plan, int32_t dy, int32_t y);

// --- Integers ------------------------------------------------------------------------------------

// q = saturate(round_half_even(x / scale) + zero_point); type is BH_TYPE_U8 or BH_TYPE_S8. Scales
// and zero points: `count` of each along `axis`; count 1 is for the whole tensor.
int32_t bh_plan_quantize(bh_plan *plan, int32_t x, int32_t type, const float *scale,
                         const int32_t *zero_point, int64_t count, int32_t axis);
// x = (q - zero_point) * scale.
int32_t bh_plan_dequantize(bh_plan *plan, int32_t q, const float *scale, const int32_t *zero_point,
                           int64_t count, int32_t axis);

// Quantizes to uint8 by the range that x has in this run, zero included, and tells the scale (float,
// no axes) and the zero point (uint8, no axes) as values. ONNX: DynamicQuantizeLinear.
int32_t bh_plan_dynamic_quantize(bh_plan *plan, int32_t x, int32_t *scale, int32_t *zero_point);

// How an integer layer's 32-bit sums become its output.
typedef struct bh_requantize {
  const float *scale;          // [O]: x scale * weight scale
  const float *bias;           // [O], float, already multiplied out; null = none
  bh_activation activation;
  int32_t out_type;            // BH_TYPE_F32, U8 or S8
  float out_scale;             // U8, S8: q = saturate(round(y / out_scale) + out_zero_point)
  int32_t out_zero_point;
} bh_requantize;

// Integer convolution: sums of (x - x_zero_point) * (w - w_zero_point[o]), exact in 32 bits on every
// CPU (wrapping as int32 does), then bias, activation and output as in `out`. w: int8 or uint8
// [O, I / groups, K...], plain, copied; w_zero_point may be null for zeros. x_zero_value is NONE, or
// a uint8 or int8 value that each run takes x's zero point from. pooling: a max pooling of the output
// to pooled_dims, or null.
int32_t bh_plan_conv_integer(bh_plan *plan, int32_t x, int32_t x_zero_point, int32_t x_zero_value,
                             const void *w, int32_t w_type, const int32_t *w_zero_point, const int64_t *w_dims,
                             const bh_window *window, const bh_requantize *out,
                             const bh_window *pooling, const int64_t *pooled_dims);
// The same for x [N, K] and w [O, K].
int32_t bh_plan_dense_integer(bh_plan *plan, int32_t x, int32_t x_zero_point, int32_t x_zero_value,
                              const void *w, int32_t w_type, const int32_t *w_zero_point, int64_t outputs,
                              const bh_requantize *out);
// Adds two quantized values of one shape and quantizes the sum: a residual connection.
int32_t bh_plan_add_integer(bh_plan *plan, int32_t a, float a_scale, int32_t a_zero_point, int32_t b,
                            float b_scale, int32_t b_zero_point, bh_activation activation,
                            int32_t out_type, float out_scale, int32_t out_zero_point);

// --- The caller's own operations -----------------------------------------------------------------

// Computes the outputs of an operation; all values are in plain layout. Anything but 0 is a failure.
typedef int32_t (*bh_host_call)(void *context, const void *const *inputs, void *const *outputs);

// An operation that `call` computes on the thread that runs the plan. Its outputs are float tensors:
// `ranks` has one number for each, `dims` their sizes one after the other. `context` must live as
// long as the plan.
int32_t bh_plan_host(bh_plan *plan, const char *name, bh_host_call call, void *context,
                     int32_t input_count, const int32_t *inputs, int32_t output_count,
                     const int32_t *ranks, const int64_t *dims, int32_t *outputs);
// A gradient in the layout of its parameter.
int32_t bh_plan_in_layout_of(bh_plan *plan, int32_t gradient, int32_t parameter);

// --- Running -------------------------------------------------------------------------------------

// Keeps a value readable until the next run.
int32_t bh_plan_keep(bh_plan *plan, int32_t value);
// The number of operations so far: a place to stop at.
int32_t bh_plan_position(const bh_plan *plan);
// Lays out the arena. No operation can be added afterwards.
int32_t bh_plan_finish(bh_plan *plan);
// Bytes of the arena and of everything that stays between runs.
int64_t bh_plan_arena_bytes(const bh_plan *plan);
int64_t bh_plan_resident_bytes(const bh_plan *plan);

// Points an input at its data; the memory must stay until the run ends.
int32_t bh_plan_bind(bh_plan *plan, int32_t input, const void *data);
// Runs the operations [begin, end).
int32_t bh_plan_run(bh_plan *plan, int32_t begin, int32_t end);
// Copies a value out in plain order; only when it is kept, or right after the operation that made it.
int32_t bh_plan_read(bh_plan *plan, int32_t value, void *out);
// Overwrites a kept value or a parameter from plain order.
int32_t bh_plan_write(bh_plan *plan, int32_t value, const void *data);
// Where a parameter and its gradient lie: the same layout, so element-wise updates need no reorder.
// The count includes padding, which is zero in both and must stay zero.
int32_t bh_plan_raw(bh_plan *plan, int32_t value, float **data, int64_t *count);
// Overrides every training batch norm's momentum for the coming runs; NaN restores the nodes' own.
void bh_plan_set_momentum(bh_plan *plan, float momentum);
// How often operation 0 has run: what dropout's masks are counted by.
uint64_t bh_plan_run_count(const bh_plan *plan);
void bh_plan_set_run_count(bh_plan *plan, uint64_t count);
// What each operation is, for profiles: static text, never null.
const char *bh_plan_describe(const bh_plan *plan, int32_t position);

#ifdef __cplusplus
}
#endif
#endif
