import BlockStore
extension JobService { init(store: any BlockStore, configuration: JobConfiguration) throws(JobServiceError) { self.init() } }
