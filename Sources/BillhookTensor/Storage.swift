import Foundation

/// A block of bytes that tensors look into: aligned memory of our own, or a read-only mapped file.
///
/// Safety: the bytes of an allocation are written only through a ``Tensor`` that holds the sole
/// reference (copy on write), and a mapping is never written; so sharing one between threads is
/// safe.
public final class Storage: @unchecked Sendable {
  /// Alignment of allocations in bytes: a cache line, and the widest vector of the supported CPUs.
  public static let alignment = 64

  let base: UnsafeMutableRawPointer
  /// The number of usable bytes.
  public let byteCount: Int
  /// True for a mapped file, which must not be written.
  let isReadOnly: Bool
  private let release: @Sendable (UnsafeMutableRawPointer) -> Void

  /// Allocates `byteCount` bytes, each of the same value.
  public init(byteCount: Int, filledWith byte: UInt8 = 0) {
    precondition(byteCount >= 0, "a storage of \(byteCount) bytes")
    self.byteCount = byteCount
    isReadOnly = false
    // The system hands out zeroed pages as they are first written, by all threads that write; zeroing
    // a large block here would touch it once more than needed, on one thread.
    if byteCount >= Self.pagedByteCount,
      let pages = mmap(
        nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      pages != MAP_FAILED
    {
      madvise(pages, byteCount, 14 /* MADV_HUGEPAGE */)
      base = pages
      release = { munmap($0, byteCount) }
      if byte != 0 { pages.initializeMemory(as: UInt8.self, repeating: byte, count: byteCount) }
      return
    }
    base = .allocate(byteCount: max(byteCount, 1), alignment: Self.alignment)
    base.initializeMemory(as: UInt8.self, repeating: byte, count: max(byteCount, 1))
    release = { $0.deallocate() }
  }

  /// Allocations of this size and more are pages of their own.
  private static let pagedByteCount = 4 << 20

  /// Adopts memory that somebody else made; `release` is called with `base` at the end.
  init(
    adopting base: UnsafeMutableRawPointer, byteCount: Int,
    release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
  ) {
    self.base = base
    self.byteCount = byteCount
    isReadOnly = true
    self.release = release
  }

  deinit { release(base) }

  /// Maps a whole file read-only.
  ///
  /// - Throws: ``TensorError/cannotMap(path:reason:)``.
  public static func mapping(path: String) throws(TensorError) -> Storage {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .cannotMap(path: path, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .cannotMap(path: path, reason: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .cannotMap(path: path, reason: "not a regular file")
    }
    let byteCount = Int(status.st_size)
    guard byteCount > 0 else { return Storage(byteCount: 0) }
    guard let address = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0),
      address != MAP_FAILED
    else { throw .cannotMap(path: path, reason: String(cString: strerror(errno))) }
    return Storage(adopting: address, byteCount: byteCount) { munmap($0, byteCount) }
  }

  /// Tells the system that these bytes of a mapping are not needed for now, so that a walk through
  /// a checkpoint larger than memory stays small.
  public func discard(_ range: Range<Int>) {
    guard isReadOnly, byteCount > 0 else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = (range.lowerBound + page - 1) / page * page
    let end = min(range.upperBound, byteCount) / page * page
    if start < end { madvise(base + start, end - start, MADV_DONTNEED) }
  }

  /// The bytes, for reading.
  public func withUnsafeBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try body(UnsafeRawBufferPointer(start: base, count: byteCount))
  }
}
