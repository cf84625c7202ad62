internal import BillhookKernels
internal import Foundation

/// Finds out what many libraries say of themselves: from the cache, in this process for those that
/// may run in it, and for the others in one worker, which starts again behind a library that ends
/// it. Plain functions say nothing; they are tried, each library in a worker of its own.
struct LibraryScan {
  let settings: PluginSettings
  let cache: DescriptorCache

  /// One result a library, in the order given.
  func descriptions(
    of libraries: [(file: LibraryFile, isolation: Isolation)]
  ) -> [Result<[PluginDescription], PluginError>] {
    var results = libraries.map { library in
      cache.descriptions(of: library.file).map { Result<_, PluginError>.success($0) }
    }
    var foreign: [Int] = []
    for (index, library) in libraries.enumerated() where results[index] == nil {
      if let entry = settings.quarantine.entry(of: library.file) {
        results[index] = .failure(entry.error(library.file))
      } else if library.file.plain != nil {
        results[index] = Result { () throws(PluginError) in
          try tried(library.file, library.isolation)
        }
      } else if library.isolation == .inproc {
        results[index] = Result { () throws(PluginError) in try here(library.file) }
      } else {
        foreign.append(index)
      }
    }
    scan(foreign, libraries, &results)
    return results.map { $0 ?? .success([]) }
  }

  /// What plain functions are, from the cache, or after they were tried on made-up values.
  func tried(
    _ file: LibraryFile, _ isolation: Isolation
  ) throws(PluginError) -> [PluginDescription] {
    if let known = cache.descriptions(of: file) { return known }
    let copy = try LibraryStore(settings.home).copy(file, strictly: isolation == .workerStrict)
    let process = try WorkerLibrary.describer(of: [copy], settings, probes: true)
    defer { process.close() }
    let found = try WorkerLibrary.outcome(
      of: process, library: 0, copy, settings, isolation: isolation)
    cache.keep(found, of: file)
    return found
  }

  private func here(_ file: LibraryFile) throws(PluginError) -> [PluginDescription] {
    let copy = try LibraryStore(settings.home).copy(file, strictly: false)
    FaultMark.install()
    let found = try ModuleLoader.load(copy).map {
      PluginDescription(descriptor: $0.descriptor, functions: $0.entry.functionNames)
    }
    cache.keep(found, of: file)
    return found
  }

  private func scan(
    _ indices: [Int], _ libraries: [(file: LibraryFile, isolation: Isolation)],
    _ results: inout [Result<[PluginDescription], PluginError>?]
  ) {
    var rest: [(index: Int, copy: LibraryFile)] = []
    for index in indices {
      do throws(PluginError) {
        let strictly = libraries[index].isolation == .workerStrict
        let copy = try LibraryStore(settings.home).copy(libraries[index].file, strictly: strictly)
        rest.append((index, copy))
      } catch {
        results[index] = .failure(error)
      }
    }
    while !rest.isEmpty {
      let process: WorkerProcess
      do throws(PluginError) {
        process = try WorkerLibrary.describer(of: rest.map(\.copy), settings)
      } catch {
        for (index, _) in rest { results[index] = .failure(error) }
        return
      }
      defer { process.close() }
      var through = 0
      for (number, (index, copy)) in rest.enumerated() {
        do throws(PluginError) {
          let found = try WorkerLibrary.outcome(
            of: process, library: number, copy, settings, isolation: libraries[index].isolation)
          cache.keep(found, of: copy)
          results[index] = .success(found)
        } catch {
          results[index] = .failure(error)
          through = number + 1
          // The one that ended the process; those behind it get another.
          if error.isCrash { break }
        }
        through = number + 1
      }
      rest.removeFirst(through)
    }
  }
}
