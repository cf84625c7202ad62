internal import BillhookTensor

/// Ways in which the bytes of a file go wrong.
public enum Damage {
  /// Copies of `bytes` with 1 to 4 flipped bits each, the same for the same seed.
  public static func flips(of bytes: [UInt8], seed: UInt64, count: Int = 40) -> [[UInt8]] {
    var random = CounterRandom(seed: seed, stream: "flips")
    return (0..<count).map { _ in
      var copy = bytes
      for _ in 0...random.integer(below: 4) {
        copy[random.integer(below: copy.count)] ^= 1 << UInt8(random.integer(below: 8))
      }
      return copy
    }
  }

  /// Every shorter length of a small file, and some of a large one.
  public static func lengths(of bytes: [UInt8]) -> [Int] {
    Array(stride(from: 0, to: bytes.count, by: max(1, bytes.count / 400)))
  }
}
