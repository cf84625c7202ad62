/// What follows from what was declared.
extension PlainCall {
  /// Parses the bindings, or takes the usual ones, and infers what the result means.
  init(
    _ role: PlainRole, _ signature: PlainSignature, _ texts: [String]?, returns: PlainReturn?,
    converts: Bool, hasBlock: Bool
  ) throws(PluginError) {
    let texts = if let texts { texts } else { try Self.usualBindings(role, signature) }
    guard texts.count == signature.parameters.count else {
      throw .badPlainFunction(
        function: signature.symbol,
        reason: "it has \(signature.parameters.count) arguments and \(texts.count) bindings")
    }
    var bindings: [PlainExpression] = []
    for (text, parameter) in zip(texts, signature.parameters) {
      switch PlainExpression.parse(text) {
      case .success(let expression): bindings.append(expression)
      case .failure(let fault):
        throw .badBinding(
          function: signature.symbol, argument: parameter.name, binding: text, reason: fault.reason)
      }
    }
    self.init(
      role: role, signature: signature, bindings: bindings, bindingTexts: texts, returns: .none,
      converts: converts)
    self.returns = returns ?? usualReturn(hasBlock: hasBlock)
  }

  /// Without bindings only one thing can be meant: a `T f(T)` of fractions, once an element.
  private static func usualBindings(
    _ role: PlainRole, _ signature: PlainSignature
  ) throws(PluginError) -> [String] {
    if role == .scorer, signature.parameters.count == 1, signature.result?.isFloatingPoint == true,
      signature.parameters[0].kind == .value(signature.result!)
    {
      return ["element"]
    }
    throw .badPlainFunction(
      function: signature.symbol,
      reason:
        "its arguments are not bound; only a scorer of the form T f(T), with float or double, "
        + "needs no bindings")
  }

  private func usualReturn(hasBlock: Bool) -> PlainReturn {
    guard let result = signature.result else { return .none }
    switch role {
    case .scorer where result.isFloatingPoint: return .score
    case .loss where result.isFloatingPoint: return .value
    case .quantize where hasBlock && result.byteCount == 8: return .bytes
    default: return result.isFloatingPoint ? .none : .status
    }
  }

  /// What a scorer scores when nothing is said: what its bindings can mean.
  var usualGranularities: [Granularity] {
    switch mode {
    case .elements: [.element]
    case .rows: [.outputChannel, .inputChannel]
    case .whole: [.element]
    }
  }
}

extension PlainPlugin {
  /// What a function can score.
  static let granularities: [Granularity] = [.element, .outputChannel, .inputChannel]
  /// What a manifest may promise.
  static let capabilities: [Capabilities] = [
    .deterministic, .concurrent, .chunked, .dataFree, .globalScale,
  ]

  /// Fills in what follows, and checks what belongs together.
  mutating func complete(path: String) throws(PluginError) {
    func wrong(_ key: String, _ found: String, _ expected: String) -> PluginError {
      .badManifest(path: path, place: "\(id).\(key)", found: found, expected: expected)
    }
    if hook == .quantizer {
      guard (block == nil) != (layout == nil) else {
        throw wrong(
          "row_block", block == nil ? "missing" : "given beside \"layout\"",
          "either \"row_block\", for a packed format, or \"layout\", for integers")
      }
      if let layout, layout.minimum >= layout.maximum {
        throw wrong(
          "layout.qmin", "\(layout.minimum)", "below \"qmax\", which is \(layout.maximum)")
      }
      if block != nil, call(.calibrate) != nil {
        throw wrong("calibrate", "given", "left out: a packed format keeps its own scales")
      }
    } else if let extra = [("row_block", block != nil), ("layout", layout != nil)].first(where: \.1)
    {
      throw wrong(extra.0, "given", "left out: only a quantizer has it")
    }
    if hook == .scorer {
      let call = calls[0]
      if call.mode == .elements {
        guard granularities == [.element] else {
          throw wrong("granularity", "of channels", "\"element\": the function gets one at a time")
        }
      }
      if call.returns == .score, call.mode == .rows, granularities.contains(.element) {
        throw wrong("granularity", "\"element\"", "of channels: the function gives a score a row")
      }
      if !usesData {
        capabilities.insert(.dataFree)
      } else if capabilities.contains(.dataFree) {
        throw wrong(
          "caps", "\"data-free\"",
          "left out: the bindings ask for \(needs.names.joined(separator: ", "))")
      }
      if capabilities.contains(.chunked) {
        guard canBeChunked else {
          throw wrong(
            "caps", "\"chunked\"",
            "left out: only a function of the weight's elements and their count can be given pieces"
          )
        }
      }
    }
    try PlainBindingCheck.check(self)
  }

  /// True when a statistic or a gradient is bound.
  private var usesData: Bool { !needs.isEmpty && needs != .previousMask }

  /// Whether a piece of a layer is to the function what a whole layer is.
  var canBeChunked: Bool {
    guard granularities.contains(.element), calls[0].mode != .rows,
      needs.subtracting(.weightGradient)
        .isEmpty
    else { return false }
    return calls[0].bindings.allSatisfy {
      switch $0.target {
      case .tensor(_, .data), .tensor(_, .count): true
      case .tensor, .integer(.axis): false
      case .scratch(let size): !size.usesRows
      default: true
      }
    }
  }

  /// The statistics that the bindings ask for.
  var needs: Needs {
    let known: [(PlainTensor, Needs)] = [
      (.grad, .weightGradient), (.teacher, .teacher), (.rowTeacher, .teacher), (.labels, .labels),
      (.inputAbsMean, .inputAbsMean), (.inputSquaredNorm, .inputSquaredNorm),
      (.outputAbsMean, .outputAbsMean), (.outputZeroFraction, .outputZeroFraction),
      (.mask, .previousMask),
    ]
    var needs: Needs = []
    for (tensor, need) in known where calls.contains(where: { $0.uses(tensor) }) {
      needs.insert(need)
    }
    if calls.contains(where: { $0.bindings.contains(.integer(.rowLabel)) }) {
      needs.insert(.labels)
    }
    return needs
  }
}

extension PlainRecord {
  /// Reverse DNS: letters, digits, "-" and "_" with "." between the parts.
  static func isIdentifier(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count > 1 && text.utf8.count <= 1024
      && parts.allSatisfy { part in
        !part.isEmpty
          && part.unicodeScalars.allSatisfy { character in
            switch character {
            case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
            default: false
            }
          }
      }
  }
}
