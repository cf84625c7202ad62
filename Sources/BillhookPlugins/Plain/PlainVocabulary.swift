internal import BillhookTensor

/// A tensor that a binding can name.
enum PlainTensor: Int, Sendable, CaseIterable {
  case weight, grad, mask
  case inputAbsMean, inputSquaredNorm, outputAbsMean, outputZeroFraction
  case scores
  case q, scale, zeroPoint
  case student, teacher, labels, sampleWeight, gradStudent
  /// One row of the main input, and its place in the main output.
  case row, rowOut, rowTeacher
  case lossSum, lossWeight

  /// As it is written.
  var name: String {
    switch self {
    case .inputAbsMean: "stats.in_abs_mean"
    case .inputSquaredNorm: "stats.in_sq_norm"
    case .outputAbsMean: "stats.out_abs_mean"
    case .outputZeroFraction: "stats.out_zero_fraction"
    case .zeroPoint: "zero_point"
    case .sampleWeight: "sample_weight"
    case .gradStudent: "grad_student"
    case .rowOut: "row.out"
    case .rowTeacher: "row.teacher"
    case .lossSum: "loss.sum"
    case .lossWeight: "loss.weight"
    default: "\(self)"
    }
  }

  init?(name: String) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  /// Its place in a ``PlainFrame``.
  var index: Int { rawValue }

  /// True for what is named as a whole, without a field behind it.
  var isBare: Bool {
    switch self {
    case .rowOut, .rowTeacher, .lossSum, .lossWeight: true
    default: false
    }
  }

  /// True for what exists once a row: a function that binds it is called once a row.
  var isRow: Bool { self == .row || self == .rowOut || self == .rowTeacher }
}

/// What a binding can ask of a tensor.
enum PlainField: String, Sendable, CaseIterable {
  case data, count, rows, cols, shape, ndim, strides, bytes
}

/// A whole number that a binding can name.
enum PlainInteger: Int, Sendable, CaseIterable {
  case seed, threads, batch, classes, axis, block, qmin, qmax
  case rowIndex, rowLabel, samples

  /// As it is written.
  var name: String {
    switch self {
    case .rowIndex: "row.index"
    case .rowLabel: "row.label"
    case .samples: "stats.samples"
    default: "\(self)"
    }
  }

  init?(name: String) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  /// Its place in a ``PlainFrame``.
  var index: Int { rawValue }
}

/// Where the value of one argument comes from.
indirect enum PlainExpression: Sendable, Equatable {
  case null
  case integerConstant(Int)
  case constant(Double)
  case parameter(String)
  case integer(PlainInteger)
  /// The factor of a loss's gradient.
  case lossScale
  case tensor(PlainTensor, PlainField)
  /// The function is called once an element.
  case element(PlainTensor)
  case address(PlainExpression)
  case scratch(PlainArithmetic)

  /// The expression without `&`.
  var target: PlainExpression {
    if case .address(let inner) = self { inner } else { self }
  }

  /// Such as `weight.data`; nil unless it is the data of a tensor.
  var data: PlainTensor? {
    if case .tensor(let tensor, .data) = self { tensor } else { nil }
  }
}

extension PlainExpression {
  /// Reads one binding, such as `weight.data`, `&weight.count`, `const:0.5` or `scratch:4*cols`.
  ///
  /// - Returns: The expression, or why there is none.
  static func parse(_ given: String) -> Result<PlainExpression, PlainFault> {
    let text = given.filter { !$0.isWhitespace }
    if text.hasPrefix("&") {
      return parse(String(text.dropFirst())).flatMap {
        switch $0 {
        case .address, .scratch, .null, .tensor(_, .data), .tensor(_, .shape), .tensor(_, .strides):
          .failure(
            PlainFault("\"&\" takes the address of a number, and \"\(text.dropFirst())\" is none"))
        default: .success(.address($0))
        }
      }
    }
    if text == "null" { return .success(.null) }
    if text == "element" { return .success(.element(.weight)) }
    if text == "loss.scale" { return .success(.lossScale) }
    if let rest = suffix(of: text, after: "const:") { return number(rest) }
    if let rest = suffix(of: text, after: "scratch:") {
      return PlainArithmetic.parse(rest).map { .scratch($0) }
    }
    if let key = suffix(of: text, after: "param.") { return .success(.parameter(key)) }
    if let integer = PlainInteger(name: text) { return .success(.integer(integer)) }
    if let bare = PlainTensor(name: text), bare.isBare { return .success(.tensor(bare, .data)) }
    if let dot = text.lastIndex(of: "."), let tensor = PlainTensor(name: String(text[..<dot])),
      !tensor.isBare
    {
      let field = String(text[text.index(after: dot)...])
      if field == "element", tensor != .row { return .success(.element(tensor)) }
      if let field = PlainField(rawValue: field) { return .success(.tensor(tensor, field)) }
      return .failure(
        PlainFault(
          "\"\(tensor.name)\" has no \"\(field)\", but "
            + PlainField.allCases.map(\.rawValue).joined(separator: ", ")))
    }
    // A bare number is a constant.
    if let first = text.first, first.isNumber || first == "-" || first == "+" {
      return number(text)
    }
    let near = nearestNames(to: text, in: words)
    return .failure(
      PlainFault(
        "\"\(text)\" is no binding"
          + (near.isEmpty
            ? "; docs/plain-functions.md lists them"
            : "; did you mean \"\(near.joined(separator: "\" or \""))\"?")))
  }

  private static func suffix(of text: String, after prefix: String) -> String? {
    text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : nil
  }

  private static func number(_ text: String) -> Result<PlainExpression, PlainFault> {
    if let value = Int(text) { return .success(.integerConstant(value)) }
    if let value = Double(text), value.isFinite { return .success(.constant(value)) }
    return .failure(PlainFault("\"\(text)\" is not a finite number"))
  }

  /// Every binding without an argument, for suggestions.
  static let words: [String] =
    ["null", "element", "loss.scale"] + PlainInteger.allCases.map(\.name)
    + PlainTensor.allCases.flatMap { tensor in
      tensor.isBare ? [tensor.name] : PlainField.allCases.map { "\(tensor.name).\($0)" }
    }
}

/// Why something of a plain function is wrong; where it is, the one who asked knows.
struct PlainFault: Error, Equatable {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}
