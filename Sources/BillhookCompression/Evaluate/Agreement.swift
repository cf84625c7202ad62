/// How far two networks' outputs agree on the same data.
public struct Agreement: Sendable, Codable, Equatable {
  public var count: Int
  /// Samples with the same top-1 class.
  public var agreeing: Int
  /// `agreeing / count`, 0...1.
  public var top1: Double
  /// The largest absolute difference of any output number.
  public var maximumDifference: Double
  /// The largest minus the smallest output number of the first network.
  public var outputRange: Double

  public init(count: Int, agreeing: Int, maximumDifference: Double, outputRange: Double) {
    self.count = count
    self.agreeing = agreeing
    self.maximumDifference = maximumDifference
    self.outputRange = outputRange
    top1 = count > 0 ? Double(agreeing) / Double(count) : 0
  }
}
