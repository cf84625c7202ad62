internal import Glibc

/// Memory for the structs and texts of a plugin's call: cut off a block one after the other, and
/// freed together.
///
/// A call takes ten or more. Each from the heap, with a list of what to free, they cost more than a
/// short call itself where none of the code is in a cache, as after a rest.
final class CallMemory {
  /// Enough for most calls, and small enough for the heap's quick way.
  private static let blockBytes = 1024
  private static let alignment = 16

  private let block: UnsafeMutableRawPointer
  private var next: UnsafeMutableRawPointer
  private var left = CallMemory.blockBytes
  /// Blocks for what the first one had no room for.
  private var others: [UnsafeMutableRawPointer] = []

  init() {
    block = .allocate(byteCount: Self.blockBytes, alignment: Self.alignment)
    next = block
  }

  deinit {
    for other in others { other.deallocate() }
    block.deallocate()
  }

  /// Frees everything at once; the first block is used again.
  func reset() {
    next = block
    left = Self.blockBytes
    if !others.isEmpty { freeOthers() }
  }

  private func freeOthers() {
    for other in others { other.deallocate() }
    others = []
  }

  /// Memory that nobody has written to, at a multiple of 16.
  func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let size = (byteCount + Self.alignment - 1) & ~(Self.alignment - 1)
    if size > left { addBlock(size) }
    defer {
      next += size
      left -= size
    }
    return next
  }

  private func addBlock(_ size: Int) {
    left = max(size, Self.blockBytes << min(others.count + 1, 10))
    next = .allocate(byteCount: left, alignment: Self.alignment)
    others.append(next)
  }

  /// A copy of the bytes; zeros without any.
  func copy(_ bytes: UnsafeRawPointer?, _ count: Int) -> UnsafeMutableRawPointer {
    let place = allocate(count)
    if let bytes {
      place.copyMemory(from: bytes, byteCount: count)
    } else {
      memset(place, 0, count)
    }
    return place
  }

  func place<T: BitwiseCopyable>(_ value: T) -> UnsafeMutablePointer<T> {
    let place = allocate(MemoryLayout<T>.size).bindMemory(to: T.self, capacity: 1)
    place.initialize(to: value)
    return place
  }

  /// The bytes as a text of C's, with the zero behind them.
  func text(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<CChar> {
    let place = allocate(bytes.count + 1)
    if let start = bytes.baseAddress { place.copyMemory(from: start, byteCount: bytes.count) }
    place.storeBytes(of: 0, toByteOffset: bytes.count, as: CChar.self)
    return UnsafePointer(place.assumingMemoryBound(to: CChar.self))
  }

  func text(_ text: String) -> UnsafePointer<CChar> {
    var text = text
    return text.withUTF8 { self.text(UnsafeRawBufferPointer($0)) }
  }
}
