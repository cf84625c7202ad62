internal import Foundation

extension PlainRecord {
  /// The manifest that says the same; `plugin show` prints it for an inline form.
  var manifest: String {
    var root: [String: Any] = [
      "schema": PlainManifest.schema, "library": library,
      "functions": plugins.map(\.manifestObject),
    ]
    if let sha256 { root["sha256"] = sha256 }
    for (key, value) in [("version", version), ("vendor", vendor), ("license", license)]
    where value != "unknown" {
      root[key] = value
    }
    if !url.isEmpty { root["url"] = url }
    // Texts, numbers, lists and objects of them: this cannot fail.
    let data = try! JSONSerialization.data(
      withJSONObject: root, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    return String(decoding: data, as: UTF8.self)
  }
}

extension PlainPlugin {
  fileprivate var manifestObject: [String: Any] {
    var object: [String: Any] = ["id": id, "hook": hook.rawValue, "name": name, "summary": summary]
    if !doc.isEmpty { object["doc"] = doc }
    if hook == .quantizer {
      for call in calls { object[call.role.rawValue] = call.manifestObject }
    } else {
      object.merge(calls[0].manifestObject) { $1 }
    }
    if !parameters.isEmpty { object["params"] = parameters.map(Self.object) }
    if hook == .scorer { object["granularity"] = granularities.map(\.rawValue) }
    if !capabilities.names.isEmpty { object["caps"] = capabilities.names }
    if let block { object["row_block"] = ["values": block.values, "bytes": block.bytes] }
    if let layout {
      object["layout"] = [
        "type": layout.isSigned ? "int8" : "uint8", "qmin": layout.minimum, "qmax": layout.maximum,
        "symmetric": layout.isSymmetric, "per_channel": layout.isPerChannel,
      ]
    }
    return object
  }

  private static func object(_ parameter: ParameterDescriptor) -> [String: Any] {
    var object: [String: Any] = [
      "key": parameter.key,
      "type": parameter.kind == .double ? "f64" : parameter.kind == .bool ? "bool" : "i64",
    ]
    if !parameter.doc.isEmpty { object["doc"] = parameter.doc }
    if !parameter.unit.isEmpty { object["unit"] = parameter.unit }
    if parameter.range.lowerBound.isFinite { object["min"] = parameter.range.lowerBound }
    if parameter.range.upperBound.isFinite { object["max"] = parameter.range.upperBound }
    if !parameter.isRequired {
      switch parameter.defaultValue {
      case .double(let value): object["default"] = value
      case .int(let value): object["default"] = value
      case .bool(let value): object["default"] = value
      default: break
      }
    }
    return object
  }
}

extension PlainCall {
  fileprivate var manifestObject: [String: Any] {
    var named = signature
    if !named.isNamed {
      for index in named.parameters.indices { named.parameters[index].name = "a\(index + 1)" }
      named.isNamed = !named.parameters.isEmpty
    }
    let names = named.parameters.map(\.name)
    var object: [String: Any] = [
      "symbol": signature.symbol, "signature": named.description,
      "bind": Dictionary(uniqueKeysWithValues: zip(names, bindingTexts)),
      "returns": returns.rawValue,
    ]
    if converts { object["convert"] = true }
    return object
  }
}
