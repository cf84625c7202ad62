public import BillhookPlugins
internal import BillhookTensor

/// A plugin's description for people and programs.
public struct PluginListing: Sendable, Codable, Equatable {
  public struct Parameter: Sendable, Codable, Equatable {
    public var key: String
    public var kind: String
    public var standard: String
    /// Such as `1...2`; nil where every value is allowed.
    public var range: String?
    public var choices: [String]
    public var unit: String
    public var isRequired: Bool
    public var doc: String
  }
  public var id: String
  public var name: String
  public var hook: String
  public var summary: String
  public var doc: String
  public var version: String
  public var vendor: String
  public var license: String
  public var url: String
  public var abi: String
  public var path: String
  public var sha256: String
  public var granularities: [String]
  public var parameters: [Parameter]
  /// Of plain functions: how each is called, what is known of the signatures, and the manifest that
  /// says the same.
  public var functions: [String]?
  public var signature: String?
  public var manifest: String?

  public init(_ descriptor: PluginDescriptor) {
    id = descriptor.id
    name = descriptor.name
    hook = descriptor.hook.rawValue
    summary = descriptor.summary
    doc = descriptor.doc
    version = descriptor.module.version
    vendor = descriptor.module.vendor
    license = descriptor.module.license
    url = descriptor.module.url
    abi = descriptor.module.abi
    path = descriptor.module.path
    sha256 = descriptor.module.sha256
    granularities = Granularity.allCases.filter(descriptor.granularities.contains).map(\.rawValue)
    functions = descriptor.plain?.functions.map {
      "\($0.role): \($0.signature) | \($0.bindings.joined(separator: ", "))"
    }
    signature = descriptor.plain?.verification
    manifest = descriptor.plain?.manifest
    parameters = descriptor.parameters.map { parameter in
      let low = parameter.range.lowerBound
      let high = parameter.range.upperBound
      let isOpen = low == -.infinity && high == .infinity
      let isWhole = parameter.kind == .int || parameter.kind == .ints
      func bound(_ value: Double) -> String {
        isWhole ? Int64(exactly: value).map { "\($0)" } ?? "\(value)" : "\(value)"
      }
      return Parameter(
        key: parameter.key, kind: parameter.kind.rawValue,
        standard: parameter.isRequired ? "" : parameter.defaultValue.description,
        range: isOpen ? nil : "\(bound(low))...\(bound(high))", choices: parameter.choices,
        unit: parameter.unit, isRequired: parameter.isRequired, doc: parameter.doc)
    }
  }

  /// One line a plugin.
  public static func table(_ plugins: [PluginListing]) -> String {
    var table = TextTable([
      ("plugin", .left), ("hook", .left), ("version", .left), ("summary", .left),
    ])
    for plugin in plugins { table.add([plugin.id, plugin.hook, plugin.version, plugin.summary]) }
    return table.text()
  }

  /// Everything about the plugin.
  public func text() -> String {
    var text = "\(id) (\(hook)): \(summary)\n"
    if !doc.isEmpty { text += "\n\(doc)\n" }
    text += "\n"
    if !parameters.isEmpty {
      var table = TextTable([
        ("parameter", .left), ("kind", .left), ("default", .left), ("allowed", .left),
        ("unit", .left), ("meaning", .left),
      ])
      for parameter in parameters {
        table.add([
          parameter.key, parameter.kind, parameter.isRequired ? "required" : parameter.standard,
          parameter.choices.isEmpty
            ? parameter.range ?? "" : parameter.choices.joined(separator: ", "),
          parameter.unit, parameter.doc,
        ])
      }
      text += table.text() + "\n"
    }
    let facts = [
      ("name", name), ("version", version), ("vendor", vendor), ("license", license), ("url", url),
      ("ABI", abi), ("scores by", granularities.joined(separator: ", ")), ("file", path),
      ("SHA-256", sha256),
    ]
    for (key, value) in facts where !value.isEmpty { text += "\(key): \(value)\n" }
    for function in functions ?? [] { text += "function: \(function)\n" }
    if let signature { text += "signature: \(signature)\n" }
    if let manifest { text += "\nAs a manifest:\n\n\(manifest)\n" }
    return text
  }
}

extension PluginListing {
  /// Describes a plugin found by id or path.
  public static func find(
    _ idOrPath: String, hook: PluginDescriptor.Hook?, in catalog: PluginCatalog
  ) throws -> PluginListing {
    PluginListing(try plugin(idOrPath, hook: hook, in: catalog).descriptor)
  }

  /// Finds a plugin by id or path, whatever its hook.
  ///
  /// - Parameter hook: The hook to look for; nil tries all.
  /// - Throws: `PluginError` of the hook that has the most similar name, else of the last hook that
  ///   was tried.
  static func plugin(
    _ idOrPath: String, hook: PluginDescriptor.Hook?, in catalog: PluginCatalog
  ) throws -> Plugin {
    // An unknown name gets the answer of the likely kind.
    let likely = PluginCatalog.likelyHook(of: idOrPath)
    let others = PluginDescriptor.Hook.allCases.reversed().filter { $0 != likely }
    let hooks = hook.map { [$0] } ?? others + [likely]
    var unknown: [(error: PluginError, known: [String])] = []
    for hook in hooks.dropLast() {
      do {
        return try catalog.plugin(idOrPath, hook: hook)
      } catch {
        if case .unknownPlugin(_, _, _, let known) = error { unknown.append((error, known)) }
      }
    }
    do {
      return try catalog.plugin(idOrPath, hook: hooks.last!)
    } catch {
      guard case .unknownPlugin(_, _, _, let known) = error else { throw error }
      unknown.append((error, known))
      let nearest = nearestNames(to: idOrPath, in: unknown.flatMap(\.known)).first
      throw unknown.first { $0.known.contains { $0 == nearest } }?.error ?? error
    }
  }
}
