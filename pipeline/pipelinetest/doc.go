// Package pipelinetest helps to test what plugs into a pipeline: fakes of a source, an evaluator and a sink
// for the tests of the run itself, and the conformance suites that every source (TestSource) and every sink
// (TestSink) passes.
package pipelinetest
