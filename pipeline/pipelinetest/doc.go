// Package pipelinetest helps to test the parts of a pipeline. It has fakes of a source ([Rows]), an evaluator
// ([EvaluatorFunc]) and a sink ([SinkFunc]) for tests of the run itself, and the conformance suites that every source
// ([TestSource]), every sink ([TestSink]) and every store ([TestBucket]) passes.
package pipelinetest
