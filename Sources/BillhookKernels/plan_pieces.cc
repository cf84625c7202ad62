#include "plan_pieces.h"

#include <algorithm>

#include "parallel.h"

namespace billhook {
namespace {

struct Pieces {
  struct Piece {
    dnnl::primitive primitive;
    std::vector<dnnl::memory> memories;  // in the order of the operands
    std::vector<int64_t> skipped;        // bytes in front of the piece, by operand
    std::vector<dnnl_exec_arg_t> arguments;
    dnnl::memory scratchpad;
  };
  std::vector<PieceOperand> operands;
  std::vector<Piece> pieces;
  std::vector<std::unique_ptr<Buffer>> scratch;
  std::vector<std::vector<int>> copies;  // by operand, then piece; empty unless summed
};

// out = sum of the pieces, element by element, in their order.
void add_up(const std::vector<const float *> &parts, float *out, int64_t count) {
  bh::parallel_for(count, bh::streaming_grain, [&](int64_t begin, int64_t end) {
    std::copy(parts[0] + begin, parts[0] + end, out + begin);
    for (size_t p = 1; p < parts.size(); p++)
      for (int64_t i = begin; i < end; i++) out[i] += parts[p][i];
  });
}

}  // namespace

// A primitive is made for the number of threads that OpenMP tells on this thread.
SingleThread::SingleThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
SingleThread::~SingleThread() { omp_set_num_threads(before_); }

void add_pieces(bh_plan *plan, const char *name, int64_t rows, const PieceMaker &make,
                const std::vector<PieceOperand> &inputs, const std::vector<PieceOperand> &outputs,
                int64_t most) {
  auto state = std::make_shared<Pieces>();
  state->operands = inputs;
  state->operands.insert(state->operands.end(), outputs.begin(), outputs.end());
  const int64_t size = (rows + most - 1) / most;
  const int64_t count = (rows + size - 1) / size;
  dnnl::primitive_attr attributes;
  // The library's own scratchpad belongs to the thread that made the primitive.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

  std::vector<int> reads, writes;
  for (const PieceOperand &input : inputs) reads.push_back(input.value);
  for (const PieceOperand &output : outputs) writes.push_back(output.value);
  state->copies.resize(state->operands.size());
  for (size_t i = inputs.size(); i < state->operands.size(); i++) {
    const PieceOperand &output = state->operands[i];
    if (output.by_rows || count == 1) continue;
    for (int64_t p = 0; p < count; p++) {
      state->copies[i].push_back(
          plan->add_intermediate(plan->at(output.value).dims, plan->at(output.value).layout));
      writes.push_back(state->copies[i].back());
    }
  }

  dnnl::primitive whole, rest;
  {
    SingleThread one;
    whole = make(size, attributes);
    if (rows % size) rest = make(rows % size, attributes);
  }
  for (int64_t p = 0; p < count; p++) {
    Pieces::Piece piece;
    const int64_t own = std::min(size, rows - p * size);
    piece.primitive = own == size ? whole : rest;
    for (size_t i = 0; i < state->operands.size(); i++) {
      const PieceOperand &operand = state->operands[i];
      auto layout = plan->at(operand.value).layout;
      int64_t skipped = 0;
      if (operand.by_rows) {
        Dims dims = layout.dims();
        dims[0] = own;
        skipped = p * size * layout.data.format_desc.blocking.strides[0] * sizeof(float);
        layout = layout.submemory_desc(dims, Dims(dims.size(), 0));
      }
      // A primitive takes the address and its own idea of the layout, so the rows in front are
      // skipped in the address.
      piece.skipped.push_back(skipped);
      piece.memories.push_back(dnnl::memory(layout, engine(), DNNL_MEMORY_NONE));
      piece.arguments.push_back({operand.argument, piece.memories.back().get()});
    }
    const const_dnnl_primitive_desc_t description = piece.primitive.get_primitive_desc();
    const auto *needed = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
    if (needed && dnnl_memory_desc_get_size(needed) > 0) {
      const memory::desc layout(*needed);
      state->scratch.push_back(std::make_unique<Buffer>(layout.get_size()));
      piece.scratchpad = dnnl::memory(layout, engine(), state->scratch.back()->data());
      piece.arguments.push_back({DNNL_ARG_SCRATCHPAD, piece.scratchpad.get()});
    }
    state->pieces.push_back(std::move(piece));
  }

  plan->add_call(name, reads, writes, [plan, state, count] {
    for (int64_t p = 0; p < count; p++) {
      for (size_t i = 0; i < state->operands.size(); i++) {
        const int value = state->copies[i].empty() ? state->operands[i].value : state->copies[i][p];
        Pieces::Piece &piece = state->pieces[p];
        piece.memories[i].set_data_handle(static_cast<char *>(plan->data(value)) +
                                          piece.skipped[i]);
      }
    }
    bh::parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; p++) {
        const Pieces::Piece &piece = state->pieces[p];
        dnnl_primitive_execute(piece.primitive.get(), stream().get(),
                               static_cast<int>(piece.arguments.size()), piece.arguments.data());
      }
    });
    for (size_t i = 0; i < state->operands.size(); i++) {
      if (state->copies[i].empty()) continue;
      std::vector<const float *> parts;
      for (int value : state->copies[i])
        parts.push_back(static_cast<const float *>(plan->data(value)));
      const int target = state->operands[i].value;
      add_up(parts, static_cast<float *>(plan->data(target)),
             static_cast<int64_t>(plan->at(target).layout.get_size() / sizeof(float)));
    }
  });
}

}  // namespace billhook
