internal import BillhookSandbox
internal import BillhookTensor
internal import Glibc
internal import Synchronization

/// Memory that the host writes and workers can only read: weights and other inputs of calls.
///
/// It is one sparse block, of which only what is used takes memory. Sealed once it is mapped: no
/// other mapping may write it, and neither side can shrink it under the other.
///
/// Safety of `@unchecked`: `base` and `descriptor` never change; what is handed out belongs to
/// whoever asked for it until it is given back.
final class SharedArena: @unchecked Sendable {
  static let alignment = 64

  let descriptor: Int32
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let state: Mutex<State>

  private struct State {
    /// Free ranges by their start, none touching the next.
    var free: [Range<Int>]
    var placed: [PlaceKey: Placed] = [:]
  }

  private struct PlaceKey: Hashable {
    var storage: ObjectIdentifier
    var address: UInt
    var byteCount: Int
  }

  /// A copy of a tensor. While `storage` is held here nobody can change the original in place.
  private struct Placed {
    var storage: Storage
    var range: Range<Int>
  }

  init?() {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let memory = Int(sysconf(Int32(_SC_PHYS_PAGES))) * page
    let byteCount = max(memory, 1 << 30)
    let descriptor = bh_shared_memory("billhook-inputs", UInt64(byteCount))
    guard descriptor >= 0 else { return nil }
    guard
      let base = mmap(
        nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | Int32(MAP_NORESERVE), descriptor, 0),
      base != MAP_FAILED, bh_seal_memory(descriptor, 1) == 0
    else {
      close(descriptor)
      return nil
    }
    self.descriptor = descriptor
    self.base = base
    self.byteCount = byteCount
    state = Mutex(State(free: [0..<byteCount]))
  }

  deinit {
    munmap(base, byteCount)
    close(descriptor)
  }

  /// Where bytes of the arena are, or nil for an address outside of it.
  func offset(of address: UnsafeRawPointer) -> Int? {
    let offset = Int(bitPattern: address) - Int(bitPattern: base)
    return offset >= 0 && offset < byteCount ? offset : nil
  }

  func allocate(_ bytes: Int) -> Range<Int>? { state.withLock { Self.take(bytes, from: &$0) } }

  func release(_ range: Range<Int>) { state.withLock { Self.give(range, to: &$0) } }

  /// The tensor's bytes inside the arena: copied when they are new, the earlier copy otherwise.
  ///
  /// The copy stays good because the original's storage is kept: tensors copy on write, so whoever
  /// changes the weights gets a storage of their own. Copies that only the arena still knows go.
  func place(_ tensor: Tensor) -> UnsafeRawPointer? {
    let key = tensor.withUnsafeBytes {
      PlaceKey(
        storage: ObjectIdentifier(tensor.sharedStorage), address: UInt(bitPattern: $0.baseAddress),
        byteCount: $0.count)
    }
    let range = state.withLock { state -> Range<Int>? in
      if let known = state.placed[key] { return known.range }
      Self.sweep(&state)
      guard let range = Self.take(key.byteCount, from: &state) else { return nil }
      state.placed[key] = Placed(storage: tensor.sharedStorage, range: range)
      // Under the lock: nobody may see a copy that is being made.
      tensor.withUnsafeBytes { copy($0, to: range.lowerBound) }
      return range
    }
    return range.map { UnsafeRawPointer(base + $0.lowerBound) }
  }

  func copy(_ bytes: UnsafeRawBufferPointer, to offset: Int) {
    guard let start = bytes.baseAddress else { return }
    (base + offset).copyMemory(from: start, byteCount: bytes.count)
  }

  private static func sweep(_ state: inout State) {
    var dead: [PlaceKey] = []
    for key in state.placed.keys {
      if isKnownUniquelyReferenced(&state.placed[key]!.storage) { dead.append(key) }
    }
    for key in dead {
      if let placed = state.placed.removeValue(forKey: key) { give(placed.range, to: &state) }
    }
  }

  private static func take(_ bytes: Int, from state: inout State) -> Range<Int>? {
    let size = max((bytes + alignment - 1) / alignment * alignment, alignment)
    guard let index = state.free.firstIndex(where: { $0.count >= size }) else { return nil }
    let found = state.free[index]
    let range = found.lowerBound..<found.lowerBound + size
    if range.upperBound == found.upperBound {
      state.free.remove(at: index)
    } else {
      state.free[index] = range.upperBound..<found.upperBound
    }
    return range
  }

  private static func give(_ range: Range<Int>, to state: inout State) {
    var index = state.free.firstIndex { $0.lowerBound >= range.upperBound } ?? state.free.count
    var joined = range
    if index < state.free.count, state.free[index].lowerBound == joined.upperBound {
      joined = joined.lowerBound..<state.free.remove(at: index).upperBound
    }
    if index > 0, state.free[index - 1].upperBound == joined.lowerBound {
      index -= 1
      joined = state.free.remove(at: index).lowerBound..<joined.upperBound
    }
    state.free.insert(joined, at: index)
  }
}
