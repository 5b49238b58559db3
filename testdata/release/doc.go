// Package release makes a release in out/dist as goreleaser would, from the same file (.goreleaser.yaml), and tries
// what it made: `make release-dry` runs it. Its files have the build tag release.
//
// goreleaser itself takes five minutes of CPU to build, too much for CI. So main_test.go reads the parts of its file
// that can be carried out here: the hooks, the six builds, archives, packages (by nfpm, which goreleaser uses as well),
// checksums, the SBOM, and the image from its Dockerfile. What needs a registry, a repository or a key is not tried:
// dockers_v2's upload, signs, docker_signs, release.
//
//   - release_test.go looks at the binaries, archives, checksums and the SBOM.
//   - package_test.go installs the deb, uses it and removes it; and reads the rpm.
//   - image_test.go runs the image as a user without rights, with a read-only root.
//   - wine.sh runs Windows tests under Wine, for `make windows`. CI does not.
package release
