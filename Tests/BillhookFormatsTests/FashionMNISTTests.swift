internal import BillhookFormats
internal import BillhookTensor
internal import Foundation
internal import Testing

/// Real files, as Debian's package `dataset-fashion-mnist` installs them.
@Suite struct FashionMNISTTests {
  private static let folder = "/usr/share/datasets/fashion-mnist"
  // On a build server the files must be there; elsewhere a missing package is no failure.
  private static let isWanted =
    FileManager.default.fileExists(atPath: folder)
    || ProcessInfo.processInfo.environment["CI"] == "true"

  @Test(.enabled(if: isWanted, "needs the Debian package dataset-fashion-mnist"))
  func `the test images and their labels are read`() throws {
    let images = try IDXFile.read(path: Self.folder + "/t10k-images-idx3-ubyte.gz")
    let labels = try IDXFile.read(path: Self.folder + "/t10k-labels-idx1-ubyte.gz")
    #expect(images.shape == [10_000, 28, 28])
    #expect(images.elementType == .uint8)
    #expect(labels.shape == [10_000])
    // The data set has the same number of images of each class.
    let counts = labels.withUnsafeBytes { bytes in
      bytes.reduce(into: [Int](repeating: 0, count: 10)) { $0[Int($1)] += 1 }
    }
    #expect(counts == [Int](repeating: 1000, count: 10))
  }
}
