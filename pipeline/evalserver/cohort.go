package evalserver

import (
	"crypto/subtle"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// cohortPath is what the id of a cohort is added to.
const cohortPath = "/sdk/v1/cohort/"

// Cohort is a cohort that is served.
type Cohort struct {
	ID           string
	GroupType    string // "" is User
	Size         int64  // how many members there are
	LastModified int64  // in milliseconds since 1970

	// Members calls yield with each member, until that returns an error, and returns that error, or its own. It is
	// called from many goroutines.
	Members func(yield func(member string) error) error
}

// answerCohort answers GET /sdk/v1/cohort/{id}. The members are written as they are read.
func (s *Server) answerCohort(r *http.Request) answer {
	a := s.findCohort(r)
	a.private = true // the ids of users: only for programs that have them already
	return a
}

func (s *Server) findCohort(r *http.Request) answer {
	query := r.URL.Query()
	limits := map[string]int64{"maxCohortSize": -1, "lastModified": -1}
	for name := range limits {
		if text := query.Get(name); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				return newRefusal(http.StatusBadRequest, name+" is not a whole number")
			}
			limits[name] = n
		}
	}
	var c *Cohort
	if s.config.Cohort != nil {
		c = s.config.Cohort(strings.TrimPrefix(r.URL.Path, cohortPath))
	}
	switch most := limits["maxCohortSize"]; {
	case c == nil:
		return newRefusal(http.StatusNotFound, "no such cohort")
	case most >= 0 && c.Size > most:
		return newRefusal(http.StatusRequestEntityTooLarge, "the cohort is larger than maxCohortSize")
	case limits["lastModified"] == c.LastModified:
		return answer{status: http.StatusNoContent}
	}
	return answer{status: http.StatusOK, contentType: typeJSON, write: c.write}
}

// write writes the cohort as JSON.
func (c *Cohort) write(w io.Writer) error {
	groupType := c.GroupType
	if groupType == "" {
		groupType = "User"
	}
	modified := strconv.FormatInt(c.LastModified, 10)
	line := pipeline.AppendJSONString([]byte(`{"cohortId":`), c.ID)
	line = pipeline.AppendJSONString(append(line, `,"groupType":`...), groupType)
	line = append(line, `,"groupTypeId":0,"lastComputed":`+modified+`,"lastModified":`+modified+`,"size":`...)
	line = append(strconv.AppendInt(line, c.Size, 10), `,"memberIds":[`...)
	if _, err := w.Write(line); err != nil {
		return err
	}
	comma := false
	err := c.Members(func(member string) error {
		line = line[:0]
		if comma {
			line = append(line, ',')
		}
		comma = true
		_, err := w.Write(pipeline.AppendJSONString(line, member))
		return err
	})
	if err == nil {
		_, err = io.WriteString(w, "]}\n")
	}
	return err
}

// authorizedForCohorts checks the project's keys, which are not the deployment key.
func (s *Server) authorizedForCohorts(r *http.Request) bool {
	api, secret, ok := r.BasicAuth()
	if !ok || api == "" || secret == "" {
		return false
	}
	return s.config.CohortKey == "" ||
		subtle.ConstantTimeCompare([]byte(api+":"+secret), []byte(s.config.CohortKey)) == 1
}
