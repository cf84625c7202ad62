/// How far two networks' outputs agree on the same data.
public struct Agreement: Sendable, Codable, Equatable {
  /// Samples.
  public var count: Int
  /// Answers that both gave: one a sample for `[N, C]`, one a position or pixel for larger outputs; 0
  /// where the numbers tell no classes, as those of embeddings.
  public var rows: Int
  /// Rows with the same top-1 class.
  public var agreeing: Int
  /// `agreeing / rows`, 0...1; nil where the numbers tell no classes.
  public var top1: Double?
  /// The largest absolute difference of any output number.
  public var maximumDifference: Double
  /// The largest minus the smallest output number of the first network.
  public var outputRange: Double
  /// The size of the difference of the compared outputs as a share of the first network's output: the
  /// root of the sum of squares of each. Nil where that is 0.
  public var relativeDifference: Double?
  /// The cosine between both networks' compared outputs, -1...1: a vector a sample, on average
  /// (where a sample has one number only, a vector a batch).
  public var cosine: Double

  public init(
    count: Int, rows: Int, agreeing: Int, maximumDifference: Double, outputRange: Double,
    relativeDifference: Double?, cosine: Double
  ) {
    self.count = count
    self.rows = rows
    self.agreeing = agreeing
    self.maximumDifference = maximumDifference
    self.outputRange = outputRange
    self.relativeDifference = relativeDifference
    self.cosine = cosine
    top1 = rows > 0 ? Double(agreeing) / Double(rows) : nil
  }
}
