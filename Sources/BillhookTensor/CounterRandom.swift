/// Random numbers that are a function of (seed, stream, position) and of nothing else.
///
/// Any number can be computed without those before it, so the result does not depend on the number
/// of threads or the order of work.
///
/// Source: Salmon, Moraes, Dror and Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3*, SC 2011,
/// section 4 (Philox4x32-10). No deviation.
public struct CounterRandom: RandomNumberGenerator, Sendable {
  /// The run's seed: the key of the generator.
  public let seed: UInt64
  /// Separates independent uses under one seed.
  public let stream: UInt64
  /// Index of the next 32-bit word.
  public var position: UInt64 = 0

  public init(seed: UInt64, stream: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
  }

  /// A stream named by text: the same name gives the same stream on every machine.
  public init(seed: UInt64, stream name: String) {
    // FNV-1a: Swift's own hash differs from run to run.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    self.init(seed: seed, stream: hash)
  }

  /// Four words at block `index`.
  public static func block(seed: UInt64, stream: UInt64, index: UInt64) -> SIMD4<UInt32> {
    var counter = SIMD4<UInt32>(
      UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
      UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32))
    var key = SIMD2<UInt32>(
      UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    for _ in 0..<10 {
      let first = UInt64(0xD251_1F53) * UInt64(counter[0])
      let second = UInt64(0xCD9E_8D57) * UInt64(counter[2])
      counter = SIMD4(
        UInt32(truncatingIfNeeded: second >> 32) ^ counter[1] ^ key[0],
        UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ counter[3] ^ key[1],
        UInt32(truncatingIfNeeded: first))
      key = SIMD2(key[0] &+ 0x9E37_79B9, key[1] &+ 0xBB67_AE85)
    }
    return counter
  }

  /// The next 32 random bits.
  public mutating func nextWord() -> UInt32 {
    let words = Self.block(seed: seed, stream: stream, index: position / 4)
    defer { position += 1 }
    return words[Int(position % 4)]
  }

  public mutating func next() -> UInt64 {
    let low = UInt64(nextWord())
    return UInt64(nextWord()) << 32 | low
  }

  /// A float in 0..<1 with 24 random bits.
  public mutating func uniform() -> Float {
    Float(nextWord() >> 8) * 0x1p-24
  }

  /// An integer in 0..<bound; `bound` is 1 to 2³².
  public mutating func integer(below bound: Int) -> Int {
    // One multiplication; the bias is below bound / 2³².
    Int((UInt64(nextWord()) &* UInt64(bound)) >> 32)
  }

  /// The numbers 0..<count in random order (Fisher and Yates).
  public mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    guard count > 1 else { return order }
    for last in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(last, integer(below: last + 1))
    }
    return order
  }
}
