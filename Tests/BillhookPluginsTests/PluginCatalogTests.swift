import BillhookPlugins
import BillhookTestSupport
import Foundation
import Testing

@Suite struct PluginCatalogTests {
  @Test func `the five built-in libraries are found beside the executable`() {
    #expect(builtIns.failures.map(\.path) == [])
    #expect(
      builtIns.descriptors.map(\.id) == [
        "org.billhook.activation", "org.billhook.activation.apoz", "org.billhook.activation.wanda",
        "org.billhook.magnitude", "org.billhook.random", "org.billhook.kl-divergence",
        "org.billhook.affine-int8",
      ])
  }

  @Test(arguments: [
    ("magnitude", "org.billhook.magnitude"), ("activation", "org.billhook.activation"),
    ("apoz", "org.billhook.activation.apoz"),
    ("activation.wanda", "org.billhook.activation.wanda"),
    ("org.billhook.magnitude", "org.billhook.magnitude"),
  ])
  func `an id or its last parts find a plugin`(name: String, id: String) throws {
    #expect(try builtIns.plugin(name, hook: .scorer).descriptor.id == id)
  }

  @Test func `a descriptor says where the plugin came from`() throws {
    let descriptor = try builtIns.plugin("magnitude", hook: .scorer).descriptor
    #expect(descriptor.module.path.hasSuffix("/libbillhook-plugin-magnitude.so"))
    #expect(descriptor.module.sha256.count == 64)
    #expect(descriptor.module.abi == "1.0")
    #expect(
      descriptor.capabilities.names
        == ["deterministic", "concurrent", "chunked", "data-free", "global-scale"])
    #expect(descriptor.granularities == [.element, .outputChannel, .inputChannel])
    #expect(descriptor.parameters.map(\.key) == ["exponent"])
  }

  @Test func `an unknown id is answered with the nearest ones`() {
    #expect(
      sentence { _ = try builtIns.plugin("magnitud", hook: .scorer) } == """
        There is no scorer "magnitud"; did you mean "org.billhook.magnitude"? Known are \
        "org.billhook.activation", "org.billhook.activation.apoz", \
        "org.billhook.activation.wanda", "org.billhook.magnitude" and "org.billhook.random".
        """)
    #expect(
      sentence { _ = try builtIns.plugin("zzzzzz", hook: .loss) } == """
        There is no loss "zzzzzz"; known are "org.billhook.kl-divergence".
        """)
    #expect(
      sentence { _ = try PluginCatalog(folders: []).plugin("x", hook: .loss) }
        == "There is no loss \"x\"; no loss was found at all.")
  }

  @Test func `a plugin of another hook is named as such`() {
    #expect(
      sentence { _ = try builtIns.plugin("affine-int8", hook: .scorer) } == """
        Plugin "org.billhook.affine-int8" is a quantizer but a scorer is needed here.
        """)
    #expect(
      sentence { _ = try builtIns.plugin("magnitude", hook: .scorer).makeLoss() } == """
        Plugin "org.billhook.magnitude" is a scorer but a loss is needed here.
        """)
  }

  @Test func `a file with several scorers needs an id behind it`() throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/misbehaving.c")
    #expect(
      sentence { _ = try builtIns.plugin(path, hook: .scorer) } == """
        "\(path)" can mean more than one scorer: "org.example.misbehaving.scorer" or \
        "org.example.misbehaving.needy". Write the whole id, or FILE.so#ID for one in a file.
        """)
    #expect(
      try builtIns.plugin("\(path)#needy", hook: .scorer).descriptor.id
        == "org.example.misbehaving.needy")
    #expect(
      try builtIns.plugin(path, hook: .loss).descriptor.id == "org.example.misbehaving.loss")
  }

  @Test func `a renamed copy of a library loads like the original`() throws {
    let original = try builtIns.plugin("magnitude", hook: .scorer).descriptor.module
    let copy = FileManager.default.temporaryDirectory.path + "/renamed-\(getpid()).so"
    try FileManager.default.copyItem(atPath: original.path, toPath: copy)
    defer { try? FileManager.default.removeItem(atPath: copy) }
    let plugin = try builtIns.plugin(copy, hook: .scorer)
    #expect(plugin.descriptor.id == "org.billhook.magnitude")
    #expect(plugin.descriptor.module.sha256 == original.sha256)
  }

  @Test func `an unloadable file in a folder is a finding and the others load`() throws {
    let folder = FileManager.default.temporaryDirectory.path + "/billhook-folder-\(getpid())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let good = try compiledPlugin("Tests/BrokenPlugins/parameters.c")
    try FileManager.default.copyItem(atPath: good, toPath: folder + "/libbillhook-plugin-b.so")
    try FileManager.default.copyItem(atPath: good, toPath: folder + "/libbillhook-plugin-c.so")
    try Data("hello".utf8).write(to: URL(fileURLWithPath: folder + "/libbillhook-plugin-a.so"))
    let catalog = PluginCatalog(folders: [folder, folder + "/missing"])
    #expect(catalog.descriptors.map(\.id) == ["org.example.parameters"])
    #expect(
      catalog.failures.map { "\($0.error)" } == [
        """
        "\(folder)/libbillhook-plugin-a.so" is not a shared library for this machine: it has 5 \
        bytes.
        """
      ])
  }
}
