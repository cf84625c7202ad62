public import BillhookTensor

/// Which input elements, with which weights, make the elements of a Resize's or Upsample's output:
/// one axis after the other, as the operator's definition says.
public struct ResizeTaps: Sendable {
  /// One axis that is resized.
  public struct Axis: Sendable {
    public var axis: Int
    /// For each place of the output, the places of the input and their weights. Empty for a place
    /// outside the region that the node crops to.
    public var rows: [[(index: Int, weight: Double)]]
  }

  /// The axes that change, in the node's order.
  public var axes: [Axis]

  /// - Parameters:
  ///   - input, output: Shapes of the first input and of the output.
  ///   - constants: The node's inputs by position; nil for the first, and for those left out.
  /// - Throws: ``GraphError`` when sizes and scales are not constant or do not fit.
  public init(
    _ node: Node, opset: Int, input: [Int], output: [Int], constants: [Tensor?]
  ) throws(GraphError) {
    var types = constants.map { $0.map { ValueType(of: $0) } }
    if !types.isEmpty { types[0] = ValueType(.float32, input.map { .fixed($0) }) }
    let context = NodeContext(
      node: node, opset: opset, inputs: types, constants: constants,
      scope: ValueScope(constants: [:]))
    let interpolation = try Interpolation(context)
    axes = []
    for axis in try ResizedAxis.all(context, input.map { .fixed($0) }) {
      if axis.isIdentity(interpolation), !interpolation.takesElements { continue }
      let rows = interpolation.rows(axis, input[axis.axis], output[axis.axis])
      // A nearest element may be another one at a factor of 1 too.
      let isSame =
        interpolation.takesElements && rows.count == input[axis.axis]
        && rows.indices.allSatisfy { rows[$0][0].index == $0 }
      if !isSame { axes.append(Axis(axis: axis.axis, rows: rows)) }
    }
  }
}
