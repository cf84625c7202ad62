internal import BillhookSandbox
internal import Glibc
internal import Synchronization

/// The memory through which the tensors of one lane's calls go: inputs in the arena, one block an
/// output. Blocks are kept and used again.
///
/// Safety of `@unchecked`: used by whoever holds the lane.
final class LaneMemory: @unchecked Sendable {
  /// The id of the arena among a worker's blocks.
  static let arenaID = 0

  private let arena: SharedArena
  private let share: @Sendable (OutputSlot) -> Void
  /// Inputs of the current call that are in no shared memory yet; one block that grows.
  private var staging: Range<Int>?
  private var stagingUsed = 0
  private var outgrown: [Range<Int>] = []
  private var slots: [OutputSlot] = []
  private let reply = UnsafeMutableRawBufferPointer.allocate(
    byteCount: Int(BH_LANE_AREA_BYTES), alignment: 8)

  /// - Parameter share: Tells the worker of a new block.
  init(arena: SharedArena, share: @escaping @Sendable (OutputSlot) -> Void) {
    self.arena = arena
    self.share = share
  }

  deinit {
    for range in outgrown + (staging.map { [$0] } ?? []) { arena.release(range) }
    reply.deallocate()
  }

  func beginCall() {
    stagingUsed = 0
    guard !outgrown.isEmpty else { return }
    for range in outgrown { arena.release(range) }
    outgrown = []
  }

  /// A copy of what the worker wrote, until the next one.
  func copyReply(_ bytes: UnsafeRawPointer, byteCount: Int) -> UnsafeRawBufferPointer {
    let count = min(byteCount, reply.count)
    reply.baseAddress!.copyMemory(from: bytes, byteCount: count)
    return UnsafeRawBufferPointer(rebasing: reply[..<count])
  }

  /// Where in the arena an input is: at its place when it is in there already, else a copy for this
  /// call. Nil when the arena is full.
  func inputOffset(_ data: UnsafeRawPointer, byteCount: Int) -> Int? {
    if let offset = arena.offset(of: data) { return offset }
    let size = (byteCount + SharedArena.alignment - 1) & ~(SharedArena.alignment - 1)
    if stagingUsed + size > staging?.count ?? 0 {
      // Earlier inputs of this call stay where they are until the next call.
      if let staging { outgrown.append(staging) }
      staging = arena.allocate(max(2 * (staging?.count ?? 1 << 15), size))
      stagingUsed = 0
    }
    guard let staging else { return nil }
    let offset = staging.lowerBound + stagingUsed
    stagingUsed += size
    arena.copy(UnsafeRawBufferPointer(start: data, count: byteCount), to: offset)
    return offset
  }

  /// The block for a call's output number `index`.
  func outputSlot(_ index: Int, byteCount: Int) -> OutputSlot? {
    if index < slots.count, slots[index].capacity >= byteCount + OutputSlot.fence {
      return slots[index]
    }
    guard index <= slots.count,
      let slot = OutputSlot(capacity: byteCount + OutputSlot.fence)
    else { return nil }
    share(slot)
    if index < slots.count { slots[index] = slot } else { slots.append(slot) }
    return slot
  }
}

/// A block that the worker writes one output into. The output ends at the block's end, where the
/// worker has a page that nobody can touch; known bytes fill what the alignment leaves.
///
/// Safety of `@unchecked`: used by whoever holds the lane.
final class OutputSlot: @unchecked Sendable {
  /// Known bytes before an output, at least.
  static let fence = 64
  private static let fenceByte: UInt8 = 0xA5
  /// A block takes addresses, and memory only where an output was. A larger one than needed spares
  /// the next call that a new block has to be told to the worker.
  private static let leastPages = 256

  /// Given out once a process; 0 is the arena.
  let id = OutputSlot.nextID.add(1, ordering: .relaxed).newValue
  private static let nextID = Atomic<Int>(LaneMemory.arenaID)

  let capacity: Int
  let descriptor: Int32
  private let base: UnsafeMutableRawPointer

  init?(capacity: Int) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    self.capacity = max((capacity + page - 1) / page, Self.leastPages).nextPowerOfTwo * page
    descriptor = bh_shared_memory("billhook-output", UInt64(self.capacity))
    guard descriptor >= 0, bh_seal_memory(descriptor, 0) == 0,
      let base = mmap(nil, self.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else {
      if descriptor >= 0 { close(descriptor) }
      return nil
    }
    self.base = base
  }

  deinit {
    munmap(base, capacity)
    close(descriptor)
  }

  /// Where an output of this size starts: as late as its alignment allows.
  func dataOffset(_ byteCount: Int) -> Int {
    capacity - (byteCount + SharedArena.alignment - 1) / SharedArena.alignment
      * SharedArena.alignment
  }

  func data(_ byteCount: Int) -> UnsafeRawPointer {
    UnsafeRawPointer(base + dataOffset(byteCount))
  }

  /// Writes what the output holds before the call, unless nobody cares, and the known bytes around it.
  func prepare(_ source: UnsafeRawPointer?, byteCount: Int) {
    let start = base + dataOffset(byteCount)
    if let source { start.copyMemory(from: source, byteCount: byteCount) }
    memset(start - Self.fence, Int32(Self.fenceByte), Self.fence)
    let end = start + byteCount
    memset(end, Int32(Self.fenceByte), base + capacity - end)
  }

  /// True when the bytes around the output are as they were.
  func isIntact(_ byteCount: Int) -> Bool {
    let start = base + dataOffset(byteCount)
    let before = UnsafeRawBufferPointer(start: start - Self.fence, count: Self.fence)
    let end = start + byteCount
    let after = UnsafeRawBufferPointer(start: end, count: base + capacity - end)
    return before.allSatisfy { $0 == Self.fenceByte } && after.allSatisfy { $0 == Self.fenceByte }
  }
}

extension Int {
  /// The lowest power of two that is not below this number, which is at least 1.
  fileprivate var nextPowerOfTwo: Int {
    self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
  }
}
