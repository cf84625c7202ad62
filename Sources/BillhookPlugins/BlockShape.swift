/// The size of a block of a weight seen as `[output channels, inputs]`, where the inputs are all other
/// axes in their order: `[O, I · kh · kw]` of a convolution.
public struct BlockShape: Sendable, Equatable, Codable, CustomStringConvertible {
  public var outputs: Int
  public var inputs: Int

  public init(outputs: Int, inputs: Int) {
    self.outputs = outputs
    self.inputs = inputs
  }

  public var description: String { "\(outputs)x\(inputs)" }
}
