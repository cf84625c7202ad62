internal import BillhookSandbox
internal import Foundation

/// The state of everything that plugins depend on, for `billhook plugin doctor`.
public struct PluginHealth: Sendable, Codable, Equatable {
  public var trustFile: String
  public var cacheFolder: String
  public var searchFolders: [String]
  public var workerPath: String
  /// What confines a worker here; nil when none can be started.
  public var confinement: Confinement?
  public var pluginCount: Int
  /// Of the trust file, with the ids of libraries that the folders hold.
  public var rules: [PluginPolicy.Rule]
  public var quarantined: [Quarantine.Entry]
  /// What is wrong, a sentence each.
  public var problems: [String]

  /// Starts a worker that loads nothing, to see how far this system confines it.
  public init(settings: PluginSettings) {
    trustFile = settings.home.policyPath
    cacheFolder = settings.home.cacheFolder
    searchFolders = settings.home.searchFolders
    workerPath = settings.workerPath
    problems = []
    let catalog = PluginCatalog(settings: settings)
    pluginCount = catalog.entries.count
    // A file that cannot be used is among the failures.
    rules = ((try? PluginPolicy(path: trustFile))?.rules ?? []).map { rule in
      var rule = rule
      let found = catalog.entries.first { $0.file.identity == rule.sha256 }
      rule.id = rule.id ?? found?.descriptor.module.id
      return rule
    }
    problems = catalog.failures.map { $0.error.description }
    quarantined = settings.quarantine.entries()
    do throws(PluginError) {
      _ = try settings.home.privateFolder("libraries")
    } catch {
      problems.append(error.description)
    }
    do throws(PluginError) {
      let process = try WorkerLibrary.describer(of: [], settings)
      defer { process.close() }
      let found = process.loadings(within: settings.limits.loadSeconds)
      confinement = found?.confinement
      if confinement == nil {
        throw .noWorker(executable: settings.workerPath, reason: "it does not answer")
      }
    } catch {
      problems.append(error.description)
    }
  }

  /// One fact a line.
  public func text() -> String {
    var lines = [
      "plugins: \(pluginCount)", "trust file: \(trustFile)", "cache: \(cacheFolder)",
      "folders: \(searchFolders.joined(separator: ", "))", "worker: \(workerPath)",
      "confined by: \(confinement?.description ?? "nothing, no worker starts")",
      "worker-strict: \(confinement.map { $0.missingForStrict.map { "lacks \($0)" } ?? "yes" } ?? "no")",
    ]
    lines += rules.map { "rule: \($0.text)" }
    lines += quarantined.map { "quarantine: \($0.path) since \($0.date): \($0.reason)" }
    lines += problems.map { "problem: \($0)" }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension PluginPolicy.Rule {
  /// Such as "3f9a0c1b2d4e… org.example.mine: worker, since 2026-01-31 (\"mine\")".
  fileprivate var text: String {
    "\(sha256.prefix(12))…" + (id.map { " \($0)" } ?? "") + ": \(isolation.rawValue)"
      + (added.map { ", since \($0)" } ?? "") + (note.map { " (\"\($0)\")" } ?? "")
  }
}
