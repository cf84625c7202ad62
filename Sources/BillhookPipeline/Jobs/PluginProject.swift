public import BillhookPlugins
internal import Foundation

/// A folder with the source of a new plugin: what `billhook plugin new` writes.
///
/// The files come from the SDK's templates, in which `@name@`, `@identifier@`, `@Type@`,
/// `@pkgconfig@` and `@billhook@` are replaced, in file names too; nothing else happens to them.
public struct PluginProject {
  public enum Language: String, Sendable, CaseIterable { case c, cxx, swift, rust }

  /// Lower-case letters, digits and hyphens, a letter first.
  public var name: String
  public var hook: PluginDescriptor.Hook
  public var language: Language
  /// Made by ``write()``; must not exist, or be empty.
  public var folder: String

  public init(
    name: String, hook: PluginDescriptor.Hook, language: Language, folder: String
  ) {
    self.name = name
    self.hook = hook
    self.language = language
    self.folder = folder
  }

  /// Checks the name.
  ///
  /// - Throws: ``PipelineError/stage(name:problems:)``.
  public func check() throws(PipelineError) {
    let isFine =
      name.range(of: "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", options: .regularExpression) != nil
    guard isFine, name.count <= 64 else {
      throw problem(
        "The name \"\(name)\" must be lower-case letters, digits and single hyphens, a letter "
          + "first, at most 64 in all, such as \"my-\(hook.rawValue)\".")
    }
  }

  /// Writes the project.
  ///
  /// - Returns: The names of the files, sorted.
  /// - Throws: ``PipelineError/stage(name:problems:)``, ``PipelineError/cannotWrite(path:reason:)``;
  ///   the folder is then as it was.
  public func write() throws(PipelineError) -> [String] {
    try check()
    let sdk = try SDKFolder()
    let files = FileManager.default
    if let there = try? files.contentsOfDirectory(atPath: folder), !there.isEmpty {
      throw problem("The folder \"\(folder)\" is not empty; choose another with -o.")
    }
    let target = URL(fileURLWithPath: folder)
    let parent = target.deletingLastPathComponent()
    var isFolder: ObjCBool = false
    guard files.fileExists(atPath: parent.path, isDirectory: &isFolder), isFolder.boolValue else {
      throw .noFolder(path: folder, folder: parent.path)
    }
    let aside = parent.appendingPathComponent(
      ".billhook-\(ProcessInfo.processInfo.processIdentifier)-\(name)")
    defer { try? files.removeItem(at: aside) }
    let replacements = [
      ("@name@", name), ("@identifier@", identifier), ("@Type@", typeName),
      ("@pkgconfig@", sdk.pkgConfig), ("@billhook@", sdk.executable),
    ]
    func filled(_ text: String) -> String {
      replacements.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
    }
    var written: [String] = []
    do {
      try files.createDirectory(at: aside, withIntermediateDirectories: true)
      for part in ["common", hook.rawValue] {
        let source = sdk.templates + "/\(language.rawValue)/\(part)"
        for file in try files.contentsOfDirectory(atPath: source).sorted() {
          let text = try String(contentsOfFile: "\(source)/\(file)", encoding: .utf8)
          let name = filled(file)
          try filled(text).write(
            to: aside.appendingPathComponent(name), atomically: false, encoding: .utf8)
          written.append(name)
        }
      }
      // An empty folder gives way; anything else has been refused above.
      try? files.removeItem(at: target)
      try files.moveItem(at: aside, to: target)
    } catch {
      throw .cannotWrite(path: folder, reason: "a file of the project cannot be written")
    }
    return written.sorted()
  }

  private var identifier: String { name.replacingOccurrences(of: "-", with: "_") }

  private var typeName: String {
    name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }

  private func problem(_ sentence: String) -> PipelineError {
    .stage(name: "make a plugin project", problems: [sentence])
  }
}

/// Where the SDK is: below the prefix of an installed command, or in the source tree of a built one.
struct SDKFolder {
  /// The executable that asks.
  let executable: String
  /// Has a folder a language.
  let templates: String
  /// The folder with billhook.pc.
  let pkgConfig: String

  /// - Throws: ``PipelineError/stage(name:problems:)`` when it is neither here nor there.
  init() throws(PipelineError) {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let folder = own.deletingLastPathComponent()
    // A test bundle stands beside the command.
    executable = folder.appendingPathComponent("billhook").path
    func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

    let prefix = folder.deletingLastPathComponent()
    let installed = prefix.appendingPathComponent("share/billhook/template")
    if exists(installed) {
      templates = installed.path
      pkgConfig = prefix.appendingPathComponent("lib/pkgconfig").path
      return
    }
    var tree = folder
    while tree.path != "/" {
      let templates = tree.appendingPathComponent("PluginSDK/template")
      if exists(templates) {
        self.templates = templates.path
        pkgConfig = tree.appendingPathComponent("PluginSDK/pkgconfig").path
        return
      }
      tree.deleteLastPathComponent()
    }
    throw .stage(
      name: "make a plugin project",
      problems: [
        "There are no templates in \"\(installed.path)\", nor in a source tree around "
          + "\"\(folder.path)\"; install Billhook with make install."
      ])
  }
}
