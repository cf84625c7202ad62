internal import Glibc

/// Memory that shows what a plugin does with it: between pages that nobody may touch, made
/// read-only, or gone.
final class ProbeBuffer {
  /// Where the bytes lie between the pages around them.
  enum Placement: Sendable {
    /// Far from both ends, aligned to 64, with room for a plugin that goes too far.
    case middle
    /// The byte behind the last one cannot be touched.
    case beforeGuard
    /// The byte before the first one cannot be touched.
    case behindGuard
    /// Aligned to nothing but 4 bytes.
    case unaligned
  }

  static let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
  /// Enough that a stride too many still lands on a page that is guarded.
  private static let guardPages = 16

  let pointer: UnsafeMutableRawPointer
  let byteCount: Int
  private let region: UnsafeMutableRawPointer
  private let regionBytes: Int
  private let inner: UnsafeMutableRawPointer
  private let innerBytes: Int
  private var isMapped = true

  init(bytes: Int, _ placement: Placement) throws {
    let page = Self.pageBytes
    let slack = placement == .middle || placement == .unaligned ? page : 0
    innerBytes = (max(bytes, 1) + 2 * slack + page - 1) / page * page
    regionBytes = innerBytes + 2 * Self.guardPages * page
    guard
      let region = mmap(
        nil, regionBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      region != MAP_FAILED
    else { throw NotApplicable("\(regionBytes) bytes are not to be had") }
    self.region = region
    inner = region + Self.guardPages * page
    mprotect(inner, innerBytes, PROT_READ | PROT_WRITE)
    byteCount = bytes
    switch placement {
    case .middle: pointer = inner + slack
    case .unaligned: pointer = inner + slack + 4
    case .behindGuard: pointer = inner
    case .beforeGuard: pointer = inner + innerBytes - bytes
    }
  }

  deinit { unmap() }

  var bytes: UnsafeMutableRawBufferPointer { .init(start: pointer, count: byteCount) }

  func makeReadOnly() { mprotect(inner, innerBytes, PROT_READ) }

  /// Whoever reads or writes here from now on crashes.
  func forbid() { mprotect(inner, innerBytes, PROT_NONE) }

  private func unmap() {
    guard isMapped else { return }
    munmap(region, regionBytes)
    isMapped = false
  }
}
