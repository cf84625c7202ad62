internal import BillhookSDK
internal import Glibc

/// The call of `score` for a piece of a layer's elements (rule BH-43), the same in the host and in a
/// worker.
///
/// Safety of `@unchecked`: everything is constant, the pointers outlive the calls, and the plugin
/// promises (CONCURRENT) that `score` may run on several threads.
struct PieceCall: @unchecked Sendable {
  let function: Scorer.Score
  let instance: UnsafeMutableRawPointer?
  /// Of the whole layer.
  let layer: bh_layer
  /// Without the tensors of the piece.
  let input: bh_score_in
  /// The element at which `weights` and `gradient` start.
  let first: Int
  let weights: UnsafePointer<Float>
  let gradient: UnsafePointer<Float>?

  /// Scores the elements from `begin` on, as many as `scores` takes.
  func callAsFunction(
    _ call: UnsafeMutablePointer<bh_call>, _ begin: Int, _ scores: UnsafeMutableBufferPointer<Float>
  ) -> bh_status {
    // Sizes and strides of all tensors; everything of a piece lives on the stack.
    var size = Int64(scores.count)
    var stride: Int64 = 1
    return withUnsafeMutablePointer(to: &size) { size in
      withUnsafeMutablePointer(to: &stride) { stride in
        var weight = bh_tensor(
          data: UnsafeMutableRawPointer(mutating: weights + (begin - first)), device_type: 1,
          device_id: 0, ndim: 1, code: UInt8(BH_CODE_FLOAT), bits: 32, lanes: 1, shape: size,
          strides: stride, byte_offset: 0)
        var out = weight
        out.data = UnsafeMutableRawPointer(scores.baseAddress)
        var slope = weight
        slope.data = gradient.map { UnsafeMutableRawPointer(mutating: $0 + (begin - first)) }
        return withUnsafePointer(to: &weight) { weight in
          withUnsafePointer(to: &slope) { slope in
            var input = input
            input.weight = weight
            if gradient != nil { input.grad = slope }
            var layer = layer
            layer.element_begin = Int64(begin)
            return function(instance, call, &layer, &input, &out)
          }
        }
      }
    }
  }
}

/// Memory for the scores of pieces, one block a thread, which holds NaN wherever no score is
/// (rule BH-03). It is kept from call to call.
///
/// Safety of `@unchecked`: a block belongs to the thread of its index, and no two threads of a loop
/// have the same.
final class PieceBuffers: @unchecked Sendable {
  private struct Block {
    var scores: UnsafeMutablePointer<Float>
    /// How many elements from the first on may hold something else than NaN.
    var used = 0
  }
  private static let threadCount = 256
  private let blocks = UnsafeMutablePointer<Block?>.allocate(capacity: threadCount)

  init() { blocks.initialize(repeating: nil, count: Self.threadCount) }

  deinit {
    for index in 0..<Self.threadCount { blocks[index]?.scores.deallocate() }
    blocks.deallocate()
  }

  /// A thread's memory for `count` scores, all of them NaN.
  func take(_ count: Int, thread: Int) -> UnsafeMutableBufferPointer<Float> {
    var block =
      blocks[thread]
      ?? {
        let scores = UnsafeMutableRawPointer.allocate(
          byteCount: Scorer.pieceElementCount * MemoryLayout<Float>.stride, alignment: 64)
        return Block(
          scores: scores.bindMemory(to: Float.self, capacity: Scorer.pieceElementCount),
          used: Scorer.pieceElementCount)
      }()
    if block.used > 0 { memset(block.scores, 0xFF, block.used * MemoryLayout<Float>.stride) }
    block.used = count
    blocks[thread] = block
    return UnsafeMutableBufferPointer(start: block.scores, count: count)
  }

  /// Notes that the thread's scores are all NaN again.
  func spent(thread: Int) { blocks[thread]?.used = 0 }
}
