import BillhookTestSupport
import Foundation
import Testing

/// Which module may know which: what CONTRIBUTING.md draws, read from the import lines.
@Suite struct ModuleArrowTests {
  /// Folder and the modules of this package that its files may import.
  static let arrows: [(folder: String, mayImport: Set<String>)] = {
    let graph: Set = ["BillhookGraph", "BillhookTensor"]
    let compression = graph.union(["BillhookRuntime", "BillhookPlugins"])
    let pipeline = compression.union(["BillhookCompression", "BillhookFormats"])
    let plugins = ["Magnitude", "Random", "Activation", "KLDivergence", "AffineInt8"].map { name in
      ("Plugins/\(name)", Set(["BillhookSDK", "BillhookPluginKit"]))
    }
    return plugins + [
      ("PluginSDK/swift", ["BillhookSDK"]),
      ("Sources/BillhookTensor", ["BillhookKernels"]),
      ("Sources/BillhookGraph", ["BillhookTensor"]),
      ("Sources/BillhookFormats", graph.union(["CZlib"])),
      ("Sources/BillhookRuntime", graph.union(["BillhookKernels"])),
      (
        "Sources/BillhookPlugins",
        ["BillhookSDK", "BillhookKernels", "BillhookSandbox", "BillhookTensor"]
      ),
      ("Sources/BillhookWorker", ["BillhookPlugins"]),
      ("Sources/BillhookCompression", compression),
      ("Sources/BillhookPipeline", pipeline),
      ("Sources/Billhook", pipeline.union(["BillhookPipeline"])),
      ("Sources/BillhookValidator", compression.union(["BillhookSDK", "BillhookKernels"])),
      ("Sources/BillhookCommand", ["Billhook", "BillhookValidator"]),
    ]
  }()

  @Test(arguments: arrows)
  func `a module imports only what is below it`(folder: String, mayImport: Set<String>) throws {
    let own = try imports(in: folder).filter { $0.hasPrefix("Billhook") || $0 == "CZlib" }
    #expect(own.subtracting(mayImport).sorted() == [])
  }

  @Test func `every module of the package has its arrows`() throws {
    let manager = FileManager.default
    let found = try ["Sources", "Plugins"].flatMap { parent in
      try manager.contentsOfDirectory(atPath: PackageFolder.url.path + "/" + parent)
        .map { "\(parent)/\($0)" }
    }
    // The kernels, the sandbox and the system's libraries are C and import nothing; the examples know
    // the header alone.
    let exempt = [
      "Sources/BillhookKernels", "Sources/BillhookSandbox", "Sources/CLibDW", "Sources/CLibFFI",
      "Sources/CZlib", "Plugins/Examples",
    ]
    let listed = Self.arrows.map(\.folder).filter { !$0.hasPrefix("PluginSDK") }
    #expect(found.filter { !exempt.contains($0) }.sorted() == listed.sorted())
  }

  private func imports(in folder: String) throws -> Set<String> {
    let root = PackageFolder.url.appendingPathComponent(folder)
    let files = try #require(
      FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil))
    var names: Set<String> = []
    for case let file as URL in files where file.pathExtension == "swift" {
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
        let words = line.split(separator: " ")
        guard let keyword = words.prefix(4).firstIndex(of: "import"), !line.hasPrefix("//") else {
          continue
        }
        names.insert(String(words[keyword + 1]))
      }
    }
    try #require(!names.isEmpty)
    return names
  }
}
