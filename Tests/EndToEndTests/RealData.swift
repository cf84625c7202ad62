import BillhookTestSupport
import Foundation

/// What the tests on real data need. Each is also true with `CI=true`, where a test must fail
/// rather than be skipped.
enum RealData {
  static let folder = "/usr/share/datasets/fashion-mnist"

  static let hasFashionMNIST = mustBeThere || FileManager.default.fileExists(atPath: folder)

  /// Also needs build/venv, which `make test` sets up.
  static let hasJudge =
    hasFashionMNIST
    && (mustBeThere || FileManager.default.isExecutableFile(atPath: OnnxRuntimeJudge.python.path))

  private static let mustBeThere = ProcessInfo.processInfo.environment["CI"] == "true"
}
