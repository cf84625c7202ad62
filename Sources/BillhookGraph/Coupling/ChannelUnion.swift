/// Which channels belong together: union-find over channels that were made one by one.
struct ChannelUnion {
  /// A channel that some producer makes, or that merely exists and must stay.
  typealias Channel = Int

  private var parent: [Channel] = []
  /// By representative: why its channels must stay. The first reason is kept.
  private var reasons: [String?] = []

  /// Makes `count` new channels.
  mutating func make(_ count: Int) -> [Channel] {
    let first = parent.count
    parent += first..<first + count
    reasons += [String?](repeating: nil, count: count)
    return Array(first..<first + count)
  }

  /// The representative of a channel: the same for all that belong together.
  mutating func find(_ channel: Channel) -> Channel {
    var root = channel
    while parent[root] != root { root = parent[root] }
    var next = channel
    while parent[next] != root { (next, parent[next]) = (parent[next], root) }
    return root
  }

  mutating func unite(_ left: Channel, _ right: Channel) {
    let (a, b) = (find(left), find(right))
    guard a != b else { return }
    // The older one stands for both, so that the result does not depend on the order of calls.
    let (root, other) = (min(a, b), max(a, b))
    parent[other] = root
    reasons[root] = reasons[root] ?? reasons[other]
  }

  mutating func unite(_ left: [Channel], _ right: [Channel]) {
    for (a, b) in zip(left, right) { unite(a, b) }
  }

  mutating func freeze(_ channels: [Channel], _ reason: String) {
    for channel in channels {
      let root = find(channel)
      reasons[root] = reasons[root] ?? reason
    }
  }

  mutating func reason(_ channel: Channel) -> String? { reasons[find(channel)] }
}

/// Which channel each index along one axis of a value belongs to.
struct ChannelTrack: Equatable {
  var axis: Int
  /// One a position along `axis`; a channel that Flatten spread stands several times.
  var channels: [ChannelUnion.Channel]
}

extension ChannelTrack {
  /// The track after a reshape, or nil when the new shape mixes channels.
  ///
  /// The shapes are cut into the shortest runs of axes with equal products; only the run that holds
  /// the channels matters.
  func reshaped(from old: [Dimension], to new: [Dimension]) -> ChannelTrack? {
    guard let (from, to) = Self.run(holding: axis, old, new) else { return nil }
    let oldSizes = from.compactMap { old[$0].size }
    let newSizes = to.compactMap { new[$0].size }
    guard oldSizes.count == from.count, newSizes.count == to.count else {
      // A symbolic axis stands alone in its run and keeps its channels.
      return from.count == 1 && to.count == 1
        ? ChannelTrack(axis: to.lowerBound, channels: channels) : nil
    }
    guard let total = Self.product(oldSizes), total > 0, Self.product(newSizes) == total else {
      return nil
    }
    let inner = oldSizes[(axis - from.lowerBound + 1)...].reduce(1, *)
    let flat = (0..<total).map { channels[$0 / inner % channels.count] }
    for offset in newSizes.indices {
      let size = newSizes[offset]
      let inner = newSizes[(offset + 1)...].reduce(1, *)
      let kept = (0..<size).map { flat[$0 * inner] }
      if flat.indices.allSatisfy({ flat[$0] == kept[$0 / inner % size] }) {
        return ChannelTrack(axis: to.lowerBound + offset, channels: kept)
      }
    }
    return nil
  }

  /// What is more than any layer has is not followed place by place.
  private static let maximumPlaceCount = 1 << 26

  /// The product of sizes, or nil when it is too large to be followed.
  private static func product(_ sizes: [Int]) -> Int? {
    var product = 1
    for size in sizes {
      let (next, overflows) = product.multipliedReportingOverflow(by: size)
      guard !overflows, next <= maximumPlaceCount else { return nil }
      product = next
    }
    return product
  }

  /// The axes, two or more above 1, along which a reshape lays out this track's; nil when it does
  /// something else. Their product is the number of channels.
  func laidOut(from old: [Dimension], to new: [Dimension]) -> [Int]? {
    guard let (from, to) = Self.run(holding: axis, old, new),
      from.allSatisfy({ $0 == axis || old[$0] == 1 }), old[axis] == .fixed(channels.count)
    else { return nil }
    let axes = to.filter { new[$0] != 1 }
    return axes.count > 1 && axes.allSatisfy { (new[$0].size ?? 0) > 1 } ? axes : nil
  }

  /// The run of old axes that holds `axis`, and the run of new axes with the same elements, counted
  /// from the front or, behind axes whose sizes are not known, from the back.
  private static func run(
    holding axis: Int, _ old: [Dimension], _ new: [Dimension]
  ) -> (Range<Int>, Range<Int>)? {
    if let found = run(holding: axis, old, new, bakesBatch: true) { return found }
    let found = run(
      holding: old.count - 1 - axis, old.reversed(), new.reversed(), bakesBatch: false)
    func mirrored(_ range: Range<Int>, _ count: Int) -> Range<Int> {
      count - range.upperBound..<count - range.lowerBound
    }
    return found.map { (mirrored($0.0, old.count), mirrored($0.1, new.count)) }
  }

  /// The same, counted from the front alone.
  ///
  /// - Parameter bakesBatch: A first axis of size 1 stands for one that is a symbol.
  private static func run(
    holding axis: Int, _ old: [Dimension], _ new: [Dimension], bakesBatch: Bool
  ) -> (Range<Int>, Range<Int>)? {
    var (i, k) = (0, 0)
    while i < old.count, k < new.count {
      let (firstOld, firstNew) = (i, k)
      let isBakedBatch = bakesBatch && i == 0 && k == 0 && old[0].size == nil && new[0] == 1
      if old[i].size == nil || new[k].size == nil {
        guard isBakedBatch || old[i].isSame(as: new[k]) else { return nil }
        (i, k) = (i + 1, k + 1)
      } else {
        var (left, right) = (old[i].size ?? 0, new[k].size ?? 0)
        (i, k) = (i + 1, k + 1)
        while left != right {
          if left < right {
            guard i < old.count, let size = old[i].size else { return nil }
            guard let larger = product([left, size]) else { return nil }
            (left, i) = (larger, i + 1)
          } else {
            guard k < new.count, let size = new[k].size else { return nil }
            guard let larger = product([right, size]) else { return nil }
            (right, k) = (larger, k + 1)
          }
        }
      }
      // Trailing axes of size 1 belong to the last run.
      if k == new.count { while i < old.count, old[i] == 1 { i += 1 } }
      if i == old.count { while k < new.count, new[k] == 1 { k += 1 } }
      if firstOld <= axis, axis < i { return (firstOld..<i, firstNew..<k) }
    }
    return nil
  }
}
