internal import BillhookGraph
internal import BillhookTensor

/// The output of a network that a loss or a comparison looks at, and how its numbers make rows of
/// classes.
///
/// A row is a sample for `[N, C]`, a position for `[N, T, C]` (a letter of a line, a token of a
/// sentence), and a pixel for `[N, C, H, W]`; a Softmax at the end says itself which axis the classes
/// are on. A Softmax or Sigmoid at the end is taken off: in front of it the numbers are the logits that
/// losses want. A number that stands alone in its row is the logit of a yes, so its row has the two
/// columns 0 and z. Where another axis than the first is that of the samples, `[T, N, C]`, rows come
/// sample by sample all the same.
struct ComparedOutput: Equatable {
  /// What makes classes of numbers at the end of a network.
  enum Ending: Equatable {
    case none
    case sigmoid
    /// The axis of the classes, negative from the end.
    case softmax(axis: Int)
  }

  /// The name of the network's output.
  let name: String
  /// The value in front of a Softmax or Sigmoid at the end; else the output.
  let logits: String
  let ending: Ending
  /// Whether the output has the axes that the Softmax has.
  private let keepsAxes: Bool
  /// Of ``name`` and ``logits``, where that shows.
  private let sampleAxes: [String: Int]

  /// - Parameter wanted: The name of an output; nil for the first that is floating-point.
  /// - Throws: ``CompressionError/unknownOutput(output:known:)``,
  ///   ``CompressionError/outputsNotFloating(_:)``.
  init(_ graph: Graph, _ wanted: String?) throws(CompressionError) {
    let known = graph.outputs.map(\.name)
    if let wanted, !known.contains(wanted) { throw .unknownOutput(output: wanted, known: known) }
    let chosen = graph.outputs.first { output in
      output.elementType.isFloatingPoint && (wanted == nil || output.name == wanted)
    }
    guard let chosen else { throw .outputsNotFloating(wanted.map { [$0] } ?? known) }
    name = chosen.name
    let producers = graph.producers()
    var value = chosen.name
    var found = Ending.none
    var keepsAxes = true
    walk: while let index = producers[value], let input = graph.nodes[index].input(0) {
      let node = graph.nodes[index]
      guard node.isStandard else { break }
      switch node.op {
      case "Identity", "Cast", "Squeeze", "Unsqueeze":
        if ["Squeeze", "Unsqueeze"].contains(node.op) { keepsAxes = false }
        value = input
        continue walk
      case "Sigmoid":
        found = .sigmoid
        value = input
      case "Softmax":
        let axis = node.int("axis", default: graph.opset < 13 ? 1 : -1)
        // Before operator set 13 all axes from this one on were one axis of classes.
        let types = graph.opset < 13 ? (try? graph.inferTypes()) : nil
        let rank = types?[input]?.shape.count
        guard graph.opset >= 13 || axis == -1 || rank == axis + 1 else { break walk }
        found = .softmax(axis: graph.opset >= 13 ? axis : -1)
        value = input
      default: break
      }
      break
    }
    ending = found
    logits = found == .none ? chosen.name : value
    self.keepsAxes = keepsAxes
    sampleAxes = graph.sampleAxes(of: [name, logits])
  }

  /// How a tensor is cut into rows.
  struct Layout: Equatable {
    let shape: [Int]
    let sampleAxis: Int
    /// With the samples in front, element (o, c, i) of `[outer, classes, inner]` is column c of row
    /// `o · inner + i`.
    let outer: Int
    let classes: Int
    let inner: Int
    /// Rows of one number, which get a column of zeros in front.
    let isYesOrNo: Bool

    var rowCount: Int { outer * inner }
    var columnCount: Int { isYesOrNo ? 2 : classes }
    /// True when the rows are there already.
    var isPlain: Bool { sampleAxis == 0 && classesAreLast }
    private var classesAreLast: Bool { inner == 1 && !isYesOrNo }

    /// Float32 `[rows, columns]`.
    func rows(_ tensor: Tensor) -> Tensor {
      let tensor = tensor.asFloat32().movingAxis(sampleAxis, to: 0)
      if classesAreLast { return tensor.reshaped([rowCount, classes]) }
      var result = Tensor(zeros: [rowCount, columnCount])
      forEach { element, place, from, to in to[place] = from[element] }(tensor, &result)
      return result
    }

    /// The gradient of the tensor from that of its rows.
    func gradient(ofRows rows: Tensor) -> Tensor {
      if classesAreLast { return rows.withSamples(along: sampleAxis, shape: shape) }
      var result = Tensor(zeros: shape)
      forEach { element, place, from, to in to[element] = from[place] }(rows, &result)
      return result.withSamples(along: sampleAxis, shape: shape)
    }

    /// A copy, number by number: of the tensor's element and its place among the rows.
    private func forEach(
      _ copy:
        @escaping (
          _ element: Int, _ place: Int, _ from: UnsafeBufferPointer<Float>,
          _ to: UnsafeMutableBufferPointer<Float>
        ) -> Void
    ) -> (Tensor, inout Tensor) -> Void {
      { source, target in
        source.withUnsafeElements(of: Float.self) { from in
          target.withUnsafeMutableElements(of: Float.self) { to in
            for o in 0..<outer {
              for c in 0..<classes {
                for i in 0..<inner {
                  let place = (o * inner + i) * columnCount + (isYesOrNo ? 1 : c)
                  copy((o * classes + c) * inner + i, place, from, to)
                }
              }
            }
          }
        }
      }
    }
  }

  /// The rows of what a run with `samples` samples gives.
  ///
  /// - Parameter isOutput: The tensor is that of ``name``, else that of ``logits``.
  /// - Throws: ``CompressionError/outputNotPerSample(output:shape:samples:)``.
  func layout(
    _ shape: [Int], samples: Int, isOutput: Bool = false
  ) throws(CompressionError) -> Layout {
    let sampleAxis = sampleAxes[isOutput ? name : logits] ?? 0
    guard shape.indices.contains(sampleAxis), shape[sampleAxis] == samples, samples > 0,
      !shape.contains(0)
    else { throw .outputNotPerSample(output: name, shape: shape, samples: samples) }
    let sizes = shape.moving(sampleAxis, to: 0)
    func cut(at axis: Int) -> Layout {
      let classes = sizes[axis]
      if classes == 1 { return yesOrNo }
      return Layout(
        shape: shape, sampleAxis: sampleAxis, outer: sizes[..<axis].reduce(1, *), classes: classes,
        inner: sizes[(axis + 1)...].reduce(1, *), isYesOrNo: false)
    }
    var yesOrNo: Layout {
      Layout(
        shape: shape, sampleAxis: sampleAxis, outer: sizes.reduce(1, *), classes: 1, inner: 1,
        isYesOrNo: true)
    }
    if sizes.count == 1 { return yesOrNo }
    if sizes.count == 2 || (ending != .sigmoid && sizes.dropFirst(2).allSatisfy({ $0 == 1 })) {
      return cut(at: 1)
    }
    switch ending {
    case .sigmoid: return yesOrNo
    case .softmax(let axis) where !isOutput || keepsAxes:
      let stated = axis < 0 ? axis + sizes.count : axis
      let place = Array(sizes.indices).moving(sampleAxis, to: 0).firstIndex(of: stated)
      return cut(at: max(place ?? 1, 1))
    default: return cut(at: sizes.count == 3 ? 2 : 1)
    }
  }

  /// True when the largest number of a row is an answer: a class, not the largest number of a vector.
  func tellsClasses(_ layout: Layout) -> Bool {
    ending != .none || (!layout.isYesOrNo && layout.shape.count != 3)
  }

  /// The answer of each row: its class, or yes and no of a probability.
  func answers(_ output: Tensor, _ layout: Layout) -> [Int] {
    let rows = layout.rows(output)
    guard layout.isYesOrNo else { return topClasses(rows) }
    let border: Float = ending == .sigmoid ? 0.5 : 0
    return rows.withUnsafeElements(of: Float.self) { values in
      (0..<layout.rowCount).map { values[2 * $0 + 1] > border ? 1 : 0 }
    }
  }
}
