/// A function of one or two numbers of one type, called through a pointer of that type.
///
/// libffi costs about 20 ns a call, which is most of the time of a function such as `fabsf`. The
/// arguments and the result are the same bits either way.
struct TypedPointer {
  private enum Function {
    case float1(@convention(c) (Float) -> Float)
    case float2(@convention(c) (Float, Float) -> Float)
    case double1(@convention(c) (Double) -> Double)
    case double2(@convention(c) (Double, Double) -> Double)
  }
  private let function: Function
  /// Of each argument: the index of the tensor whose elements it is; nil for a constant.
  private let elements: [Int?]

  /// Nil when the call has another form.
  init?(_ call: PlainCall, address: UnsafeMutableRawPointer) {
    guard call.mode == .elements, call.returns == .score, let type = call.signature.result,
      call.signature.parameters.allSatisfy({ $0.kind == .value(type) })
    else { return nil }
    switch (type, call.signature.parameters.count) {
    case (.float, 1):
      function = .float1(unsafeBitCast(address, to: (@convention(c) (Float) -> Float).self))
    case (.float, 2):
      function = .float2(unsafeBitCast(address, to: (@convention(c) (Float, Float) -> Float).self))
    case (.double, 1):
      function = .double1(unsafeBitCast(address, to: (@convention(c) (Double) -> Double).self))
    case (.double, 2):
      function = .double2(
        unsafeBitCast(address, to: (@convention(c) (Double, Double) -> Double).self))
    default: return nil
    }
    var elements: [Int?] = []
    for binding in call.bindings {
      switch binding {
      case .element(let tensor): elements.append(tensor.index)
      case .integerConstant, .constant, .parameter: elements.append(nil)
      default: return nil
      }
    }
    self.elements = elements
  }

  func run(
    _ frame: PlainFrame, _ constants: UnsafePointer<UInt64>, count: Int,
    into scores: UnsafeMutablePointer<Float>
  ) {
    func data(_ argument: Int) -> UnsafePointer<Float>? {
      elements[argument].flatMap { frame.views[$0].data }
        .map { UnsafePointer($0.assumingMemoryBound(to: Float.self)) }
    }
    switch function {
    case .float1(let function):
      guard let x = data(0) else { return }
      for index in 0..<count { scores[index] = function(x[index]) }
    case .double1(let function):
      guard let x = data(0) else { return }
      for index in 0..<count { scores[index] = Float(function(Double(x[index]))) }
    case .float2(let function):
      let x = data(0)
      let y = data(1)
      let constant = [constants[0], constants[1]].map {
        Float(bitPattern: UInt32(truncatingIfNeeded: $0))
      }
      for index in 0..<count {
        scores[index] = function(x?[index] ?? constant[0], y?[index] ?? constant[1])
      }
    case .double2(let function):
      let x = data(0)
      let y = data(1)
      let constant = [constants[0], constants[1]].map { Double(bitPattern: $0) }
      for index in 0..<count {
        scores[index] = Float(
          function(
            x.map { Double($0[index]) } ?? constant[0], y.map { Double($0[index]) } ?? constant[1]))
      }
    }
  }
}
