import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation

/// The library of Tests/Fixtures/plain, without debug information.
func plainLibrary(debugInformation: Bool = false) throws -> String {
  try compiledLibrary(
    "Tests/Fixtures/plain/functions.c", debugInformation: debugInformation)
}

/// A plain function of that library, written inline.
func plainPlugin(
  _ form: String, _ hook: PluginDescriptor.Hook = .scorer, debugInformation: Bool = false
) throws -> Plugin {
  let library = try plainLibrary(debugInformation: debugInformation)
  return try PluginCatalog(folders: []).plugin("ffi:\(library):\(form)", hook: hook)
}

/// Scores of a small weight.
func plainScores(
  _ form: String, _ weight: Tensor, _ granularity: Granularity = .element
) throws -> Tensor? {
  try plainPlugin(form).makeScorer().score(layer(), granularity: granularity, weight: weight)
}

/// The sentence that refuses a plain function, with the library's path left out.
func refusal(
  _ form: String, _ hook: PluginDescriptor.Hook = .scorer, debugInformation: Bool = false
) throws -> String? {
  let library = try plainLibrary(debugInformation: debugInformation)
  return sentence { _ = try plainPlugin(form, hook, debugInformation: debugInformation) }?
    .replacingOccurrences(of: library, with: "LIBRARY")
}

/// A folder for manifests, removed with this object.
final class TemporaryFolderOfPlugins {
  private let folder = TemporaryFolder()
  private var count = 0

  var path: String { folder.path }

  func manifest(_ text: String) throws -> String {
    count += 1
    return folder.file("m\(count).bhplug.json", Array(text.utf8))
  }
}
