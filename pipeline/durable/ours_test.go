//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// planted are files that somebody else may have put under the name of a journal; "" is one of our own.
var planted = []struct {
	name string
	make func(path string) error
	want string // of the error
	root bool   // only root can make it
}{
	{"our own", func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }, "", false},
	{"readable by others", func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o600),
			os.Chmod(path, 0o644))
	}, "", false},
	{"writable by the group", func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o600),
			os.Chmod(path, 0o620))
	},
		"others may write to it (mode 0620)", false},
	{"writable by all", func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o600),
			os.Chmod(path, 0o602))
	},
		"others may write to it (mode 0602)", false},
	{"of another user", func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o600),
			os.Chown(path, 4321, -1))
	},
		"it belongs to user 4321, but rollcall runs as user 0", true},
	{"a hard link", func(path string) error {
		return errors.Join(os.WriteFile(path+".other", nil, 0o600), os.Link(path+".other", path))
	}, "it has 2 names", false},
	{"a symbolic link", func(path string) error {
		return errors.Join(os.WriteFile(path+".other", nil, 0o600), os.Symlink(path+".other", path))
	}, "a symbolic link", false},
	{"a dangling link", func(path string) error { return os.Symlink("nowhere", path) }, "a symbolic link", false},
	{"a named pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file", false},
	{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file", false},
}

func TestPlantedFilesAreRefused(t *testing.T) {
	openLog := func(create bool) func(string) error {
		return func(path string) error {
			log, err := OpenLog(path, create)
			if err == nil {
				err = log.Close()
			}
			return err
		}
	}
	open := map[string]func(path string) error{
		"OpenLog": openLog(false), "OpenLog with create": openLog(true),
		"OpenOurs": func(path string) error {
			f, err := OpenOurs(path)
			if err == nil {
				err = f.Close()
			}
			return err
		},
		"CheckOurs": func(path string) error {
			info, err := os.Lstat(path)
			if err == nil {
				err = CheckOurs(path, info)
			}
			return err
		},
	}
	for _, tt := range planted {
		for name, open := range open {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				if tt.root && os.Geteuid() != 0 {
					t.Skip("only root can make it")
				}
				path := filepath.Join(t.TempDir(), ".a.csv.rollcall")
				if err := tt.make(path); err != nil {
					t.Fatal(err)
				}
				before := listFiles(t, filepath.Dir(path))
				err := open(path)
				if tt.want == "" {
					if err != nil {
						t.Errorf("got %v, want no error", err)
					}
					return
				}
				if !errors.Is(err, ErrNotOurs) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want ErrNotOurs, the path and %q", err, tt.want)
				}
				if hint := pipeline.Hint(err); !strings.Contains(hint, "rm "+path) {
					t.Errorf("got hint %q, want how to remove it", hint)
				}
				if after := listFiles(t, filepath.Dir(path)); len(after) != len(before) {
					t.Errorf("the directory has %q, and had %q", after, before)
				}
			})
		}
	}
	for _, name := range []string{"OpenLog", "OpenOurs"} {
		if err := open[name](filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of a file that is not there: got %v, want ErrNotExist", name, err)
		}
	}
}

// TestOursWhereAllFilesLookAlike: on a file system without owners and modes, a file is ours if a new file has the same
// owner and mode.
func TestOursWhereAllFilesLookAlike(t *testing.T) {
	us := os.Geteuid()
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		mode      fs.FileMode // of the file, which is of user us
		user      int         // who runs the process
		freshUID  int         // the owner of new files
		freshMode fs.FileMode
		freshErr  error
		want      bool
	}{
		{"ours", 0o600, us, us, 0o600, nil, true},
		{"another user's", 0o600, us + 1, us + 1, 0o600, nil, false},
		{"all files are of one user", 0o600, us + 1, us, 0o600, nil, true},
		{"all files are of one user, this one can be written by others", 0o666, us + 1, us, 0o600, nil, false},
		{"all files can be written by others", 0o666, us, us, 0o777, nil, true},
		{"this file can be written by others", 0o666, us, us, 0o600, nil, false},
		{"both", 0o777, us + 1, us, 0o777, nil, true},
		{"all files are of another user than this one", 0o600, us + 1, us + 2, 0o600, nil, false},
		{"no file can be made", 0o666, us, us, 0o777, syscall.EROFS, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			fresh := func(string) (*syscall.Stat_t, error) {
				var stat syscall.Stat_t
				made := path + ".made"
				err := errors.Join(os.WriteFile(made, nil, 0o600), os.Chmod(made, tt.freshMode), syscall.Stat(made, &stat),
					tt.freshErr)
				stat.Uid = uint32(tt.freshUID)
				return &stat, err
			}
			if err := checkOurs(path, info, tt.user, fresh); (err == nil) != tt.want {
				t.Errorf("got %v, want it to be ours: %v", err, tt.want)
			}
		})
	}
}
