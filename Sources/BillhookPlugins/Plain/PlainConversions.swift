/// Tensors in the element type that a function wants; written back afterwards.
struct PlainConversions {
  private struct Output {
    var original: UnsafeMutableRawPointer
    var converted: UnsafeMutableRawPointer
    var count: Int
    var type: PlainType
  }
  private var outputs: [Output] = []

  /// Replaces the data of a frame where the declared type is another one. Outputs are converted
  /// too, so that what the function leaves unwritten is seen.
  init(_ prepared: PreparedCall, _ frame: PlainFrame, _ memory: PlainMemory) throws(PlainFault) {
    let call = prepared.call
    guard call.converts else { return }
    var seen: [PlainTensor] = []
    for (parameter, binding) in zip(call.signature.parameters, call.bindings) {
      guard let tensor = binding.data, case .pointer(let declared?, _) = parameter.kind,
        let own = (call.role.inputs[tensor] ?? call.role.outputs[tensor]) ?? nil,
        !own.isSame(as: declared)
      else { continue }
      let whole: PlainTensor =
        switch tensor {
        case .row: call.role.main.input
        case .rowOut: call.role.main.output
        case .rowTeacher: .teacher
        default: tensor
        }
      guard !seen.contains(whole) else { continue }
      seen.append(whole)
      var view = frame[whole]
      guard let data = view.data else { continue }
      guard let copy = memory.allocate(view.count * declared.byteCount) else {
        throw PlainFault("there is no memory to convert \(view.count) values")
      }
      Self.convert(data, own, to: copy, declared, count: view.count)
      if call.role.outputs[whole] != nil {
        outputs.append(
          Output(original: data, converted: copy, count: view.count, type: declared))
      }
      view.data = copy
      view.bytes = view.count * declared.byteCount
      frame[whole] = view
    }
  }

  func writeBack() {
    for output in outputs {
      let narrow: PlainType = output.type == .double ? .float : .int32
      Self.convert(output.converted, output.type, to: output.original, narrow, count: output.count)
    }
  }

  private static func convert(
    _ from: UnsafeMutableRawPointer, _ type: PlainType, to: UnsafeMutableRawPointer,
    _ target: PlainType, count: Int
  ) {
    func each<A, B>(_: A.Type, _: B.Type, _ body: (A) -> B) {
      let source = from.assumingMemoryBound(to: A.self)
      let result = to.assumingMemoryBound(to: B.self)
      for index in 0..<count { result[index] = body(source[index]) }
    }
    switch (type, target) {
    case (.float, _): each(Float.self, Double.self) { Double($0) }
    case (.double, _): each(Double.self, Float.self) { Float($0) }
    case (_, .int64): each(Int32.self, Int64.self) { Int64($0) }
    default: each(Int64.self, Int32.self) { Int32(truncatingIfNeeded: $0) }
    }
  }
}
