internal import BillhookFormats
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

extension DataSource {
  /// Where the Debian package puts its files.
  static let fashionMNISTFolder = "/usr/share/datasets/fashion-mnist"
  static let fashionMNISTPackage = "dataset-fashion-mnist"
  /// The array of an NPZ file that holds the class numbers.
  static let labelsName = "labels"

  /// The input arrays by name, and the labels.
  func arrays() throws -> (inputs: OrderedDictionary<String, Tensor>, labels: [Int32]?) {
    switch location {
    case .fashionMNIST(let split):
      guard FileManager.default.fileExists(atPath: Self.fashionMNISTFolder) else {
        throw PipelineError.packageMissing(
          source: description, package: Self.fashionMNISTPackage, folder: Self.fashionMNISTFolder)
      }
      return try idxArrays(folder: Self.fashionMNISTFolder, split)
    case .idx(let folder, let split): return try idxArrays(folder: folder, split)
    case .npz(let path): return try npzArrays(path)
    }
  }

  private func idxArrays(
    folder: String, _ split: Split
  ) throws -> (inputs: OrderedDictionary<String, Tensor>, labels: [Int32]?) {
    let images = try IDXFile.read(path: try idxFile(folder, split, "images-idx3"))
    let labels = try IDXFile.read(path: try idxFile(folder, split, "labels-idx1"))
    guard images.rank == 3 else {
      throw PipelineError.dataSource(
        description, problem: "The images have the shape \(images.shape) but must be [N, H, W].")
    }
    guard labels.rank == 1, let numbers = labels.integers() else {
      throw PipelineError.dataSource(
        description,
        problem: "The labels are \(labels.elementType) of the shape \(labels.shape) but must be "
          + "whole numbers [N].")
    }
    guard numbers.count == images.shape[0] else {
      throw PipelineError.dataSource(
        description,
        problem: "There are \(images.shape[0]) images but \(numbers.count) labels; the two files "
          + "do not belong together.")
    }
    return (["images": images], numbers.map { Int32(clamping: $0) })
  }

  /// The file of a folder with this text in its name, for a split.
  ///
  /// MNIST's own test files start with `t10k`; other sets write `test`.
  private func idxFile(_ folder: String, _ split: Split, _ part: String) throws -> String {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    } catch {
      throw PipelineError.dataSource(
        description, problem: "The folder \"\(folder)\" cannot be read; check the path.")
    }
    let starts = split == .train ? ["train"] : ["t10k", "test"]
    let alternative = part.replacingOccurrences(of: "-idx", with: ".idx")
    let found = names.filter { name in
      starts.contains { name.hasPrefix($0) } && (name.contains(part) || name.contains(alternative))
    }
    guard let name = found.first else {
      throw PipelineError.dataSource(
        description,
        problem: "The folder \"\(folder)\" has no file \"\(starts[0])-\(part)-ubyte\" "
          + "(or the same with .gz).")
    }
    return "\(folder)/\(name)"
  }

  private func npzArrays(
    _ path: String
  ) throws -> (inputs: OrderedDictionary<String, Tensor>, labels: [Int32]?) {
    // A float64 array, NumPy's default, is meant as numbers for the network.
    var arrays = try NumpyArchive.read(path: path).mapValues {
      $0.elementType == .float64 ? $0.asFloat32() : $0
    }
    guard let labels = arrays.removeValue(forKey: Self.labelsName) else { return (arrays, nil) }
    guard labels.rank == 1, let numbers = labels.integers() else {
      throw PipelineError.dataSource(
        description,
        problem: "The array \"\(Self.labelsName)\" is \(labels.elementType) of the shape "
          + "\(labels.shape) but must be whole numbers [N].")
    }
    return (arrays, numbers.map { Int32(clamping: $0) })
  }
}
