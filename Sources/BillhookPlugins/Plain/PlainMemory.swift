internal import Glibc

/// Memory for one call of a hook: converted tensors, scratch space; freed together.
///
/// Safety: addresses stay valid until the object ends; nobody keeps them longer.
final class PlainMemory {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { free(block) } }

  /// Memory on a cache line; contents are undefined. Nil when there is none.
  func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
    var block: UnsafeMutableRawPointer?
    guard posix_memalign(&block, 64, max(bytes, 1)) == 0, let block else { return nil }
    blocks.append(block)
    return block
  }
}
