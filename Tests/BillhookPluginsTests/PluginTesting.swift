import BillhookPlugins
import BillhookTensor
import BillhookTestSupport

/// The built-ins, from the folder of the test binary; libraries given by path run in this process.
let builtIns = PluginCatalog(settings: PluginSettings(isolation: .inproc))

/// What a body throws, as the user would read it; nil when it throws nothing.
func sentence(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return "\(error)"
  }
}

/// A weight layer with the usual axes: output channels first.
func layer(
  _ name: String = "conv", index: Int = 0, outAxis: Int = 0, inAxis: Int = 1, groups: Int = 1,
  role: LayerContext.Role = .weight
) -> LayerContext {
  LayerContext(
    role: role, index: index, name: name, op: "Conv", outAxis: outAxis, inAxis: inAxis,
    groups: groups)
}

/// The plugins of Tests/BrokenPlugins/misbehaving.c.
func misbehaving(
  _ name: String, _ hook: PluginDescriptor.Hook, observer: PluginObserver = PluginObserver()
) throws -> Plugin {
  let path = try compiledPlugin("Tests/BrokenPlugins/misbehaving.c")
  return try PluginCatalog(
    folders: [], settings: PluginSettings(isolation: .inproc), observer: observer
  )
  .plugin("\(path)#org.example.misbehaving.\(name)", hook: hook)
}

/// Numbers from -1 to 1.
func randomTensor(_ shape: [Int], seed: UInt64, scale: Float = 1) -> Tensor {
  var random = CounterRandom(seed: seed)
  let count = shape.reduce(1, *)
  return Tensor((0..<count).map { _ in (random.uniform() * 2 - 1) * scale }, shape: shape)
}
