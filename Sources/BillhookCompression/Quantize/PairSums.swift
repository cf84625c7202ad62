internal import BillhookTensor

/// Whether products of a layer's integers can leave 16 bits when they are summed in pairs.
///
/// Without VNNI, 8-bit products run through `vpmaddubsw`: an unsigned activation (0...255) times a
/// signed weight, the products of two neighbours added in 16 bits with saturation. Which weights
/// become neighbours depends on the layout that a runtime chooses, so any two weights of a channel
/// are taken to be neighbours.
enum PairSums {
  /// True when no two weights of any output channel can saturate with any activations.
  ///
  /// - Parameters:
  ///   - integers: int8; other types use instructions that do not saturate.
  ///   - outAxis: The axis of the output channels.
  static func areSafe(_ integers: Tensor, outAxis: Int) -> Bool {
    guard integers.elementType == .int8, integers.rank > 0 else { return true }
    let channels = integers.shape[outAxis]
    let inner = integers.shape[(outAxis + 1)...].reduce(1, *)
    // The two largest and the two smallest weights of each channel, 0 among them.
    var largest = [(Int, Int)](repeating: (0, 0), count: channels)
    var smallest = largest
    integers.withUnsafeElements(of: Int8.self) { values in
      for (index, value) in values.enumerated() {
        let weight = Int(value)
        let channel = index / inner % channels
        if weight > largest[channel].1 {
          let first = largest[channel].0
          largest[channel] = weight > first ? (weight, first) : (first, weight)
        } else if weight < smallest[channel].1 {
          let first = smallest[channel].0
          smallest[channel] = weight < first ? (weight, first) : (first, weight)
        }
      }
    }
    return largest.allSatisfy { 255 * ($0.0 + $0.1) <= Int(Int16.max) }
      && smallest.allSatisfy { 255 * ($0.0 + $0.1) >= Int(Int16.min) }
  }
}
