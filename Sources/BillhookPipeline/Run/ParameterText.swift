internal import BillhookPlugins

extension PluginChoice {
  /// The parameters as values of the kinds that a plugin declares.
  ///
  /// A text that does not read as the declared kind stays a string, so that the plugin's own check
  /// answers with the declared kind and range.
  func values(for descriptor: PluginDescriptor) -> [String: ParameterValue] {
    var result: [String: ParameterValue] = [:]
    for parameter in parameters {
      let kind = descriptor.parameters.first { $0.key == parameter.key }?.kind
      result[parameter.key] = parameter.value(as: kind)
    }
    return result
  }
}

extension PluginChoice.Parameter {
  fileprivate func value(as kind: ParameterDescriptor.Kind?) -> ParameterValue {
    let text = values.joined(separator: ",")
    // On a command line a list is written with commas.
    let pieces =
      isList
      ? values : text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    switch kind {
    case .int: return Int64(text).map { .int($0) } ?? .string(text)
    case .double: return Double(text).map { .double($0) } ?? .string(text)
    case .bool: return ["true": .bool(true), "false": .bool(false)][text] ?? .string(text)
    case .choice, .string, nil: return .string(text)
    case .ints:
      let numbers = pieces.compactMap { Int64($0) }
      return numbers.count == pieces.count ? .ints(numbers) : .string(text)
    case .doubles:
      let numbers = pieces.compactMap { Double($0) }
      return numbers.count == pieces.count ? .doubles(numbers) : .string(text)
    }
  }
}
