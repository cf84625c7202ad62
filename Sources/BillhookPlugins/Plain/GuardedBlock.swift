internal import Glibc

/// Memory between two pages that nobody may touch: a function that goes one byte too far is caught.
///
/// Only ever made in a process that ends soon; it is not given back.
struct GuardedBlock {
  enum Placement: Sendable { case atEnd, atStart }

  let data: UnsafeMutableRawPointer
  let byteCount: Int
  /// Without the guard pages.
  private let pages: UnsafeMutableRawPointer
  private let pageBytes: Int
  private static let canary: UInt8 = 0xC9

  /// - Parameters:
  ///   - alignment: Of the first byte; a power of two. At the end up to `alignment - 1` bytes stay
  ///     between the last byte and the guard page; they are checked by ``isIntact``.
  init?(_ byteCount: Int, alignment: Int, _ placement: Placement) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let inner = max((byteCount + page - 1) / page * page, page)
    guard
      let base = mmap(
        nil, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      base != MAP_FAILED, mprotect(base + page, inner, PROT_READ | PROT_WRITE) == 0
    else { return nil }
    pages = base + page
    pageBytes = inner
    self.byteCount = byteCount
    memset(pages, Int32(Self.canary), inner)
    let last = (inner - byteCount) / alignment * alignment
    data = placement == .atEnd ? pages + last : pages
  }

  /// From here on writing to it is caught as well.
  func makeReadOnly() { mprotect(pages, pageBytes, PROT_READ) }

  /// True when the bytes around the data are as they were.
  var isIntact: Bool {
    let bytes = UnsafeRawBufferPointer(start: pages, count: pageBytes)
    let first = data - pages
    return bytes[..<first].allSatisfy { $0 == Self.canary }
      && bytes[(first + byteCount)...].allSatisfy { $0 == Self.canary }
  }

  /// Addresses whose touch is this block's: the pages and one more on each side.
  var region: Range<UInt> {
    let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
    let start = UInt(bitPattern: pages)
    return start - page..<start + UInt(pageBytes) + page
  }
}
