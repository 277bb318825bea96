package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/tandem-ipc/tandem/shm"
)

// What --json prints. Fields keep their names and meanings within a major version; new ones may come. docs/command.md
// describes each of them, which a test compares.

type jsonInventory struct {
	Dir    string      `json:"dir"`
	Spaces []jsonSpace `json:"spaces"`
	Blocks []jsonBlock `json:"blocks"`
}

type jsonSpace struct {
	Kind     string       `json:"kind"`
	Name     string       `json:"name"`
	OldName  string       `json:"old_name,omitempty"`
	ID       string       `json:"id"`
	UID      int          `json:"uid"`
	State    string       `json:"state"`
	Keep     bool         `json:"keep"`
	Created  *time.Time   `json:"created"`
	Memory   int64        `json:"memory"`
	Used     int64        `json:"used"`
	Limit    int64        `json:"limit"`
	Segments int          `json:"segments"`
	Files    []string     `json:"files"`
	Members  []jsonMember `json:"members"`
	Error    string       `json:"error,omitempty"`
}

type jsonMember struct {
	Slot    int        `json:"slot"`
	Gen     int        `json:"gen"`
	PID     int        `json:"pid"`
	Command string     `json:"command"`
	Started *time.Time `json:"started"`
	Dead    bool       `json:"dead"`
}

type jsonBlock struct {
	Name     string     `json:"name"`
	UID      int        `json:"uid"`
	Size     int64      `json:"size"`
	Memory   int64      `json:"memory"`
	Modified *time.Time `json:"modified"`
}

type jsonClean struct {
	DryRun  bool        `json:"dry_run"`
	Removed []jsonSpace `json:"removed"`
	Memory  int64       `json:"memory"`
	Errors  []string    `json:"errors"`
}

type jsonDoctor struct {
	OK        bool          `json:"ok"`
	Problems  []jsonProblem `json:"problems"`
	Directory jsonDirectory `json:"directory"`
	Spaces    jsonCounts    `json:"spaces"`
	Memory    jsonMemory    `json:"memory"`
	Tracker   string        `json:"tracker"`
	CPUs      jsonCPUs      `json:"cpus"`
	Costs     jsonCosts     `json:"costs"`
	Features  []jsonFeature `json:"features"`
	Policy    []jsonSetting `json:"policy"`
}

type jsonProblem struct {
	What string `json:"what"`
	Do   string `json:"do"`
}

type jsonDirectory struct {
	Path      string   `json:"path"`
	Exists    bool     `json:"exists"`
	Type      string   `json:"type"`
	Options   []string `json:"options"`
	Size      int64    `json:"size"`
	Free      int64    `json:"free"`
	SpaceMade bool     `json:"space_made"`
	HugePages string   `json:"huge_pages"`
}

type jsonCounts struct {
	Alive   int `json:"alive"`
	Kept    int `json:"kept"`
	Leaked  int `json:"leaked"`
	Damaged int `json:"damaged"`
}

type jsonMemory struct {
	Limit       int64  `json:"limit"`
	CgroupLimit int64  `json:"cgroup_limit"`
	CgroupFile  string `json:"cgroup_file"`
}

type jsonCPUs struct {
	Usable     int     `json:"usable"`
	Affinity   int     `json:"affinity"`
	Quota      float64 `json:"quota"`
	GOMAXPROCS int     `json:"gomaxprocs"`
	Threads    int     `json:"threads"`
	L1         int     `json:"l1"`
	L2         int     `json:"l2"`
	L3         int     `json:"l3"`
	Model      string  `json:"model"`
	Virtual    bool    `json:"virtual"`
}

type jsonCosts struct {
	Wake int64 `json:"wake_ns"`
	Spin int64 `json:"spin_ns"`
}

type jsonFeature struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Since   string `json:"since"`
	Without string `json:"without"`
}

type jsonSetting struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Source   string `json:"source"`
	Variable string `json:"variable"`
}

type jsonVersion struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Layout   int    `json:"layout"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func inventoryJSON(inv *shm.Inventory) jsonInventory {
	j := jsonInventory{Dir: inv.Dir, Spaces: []jsonSpace{}, Blocks: []jsonBlock{}}
	for i := range inv.Spaces {
		j.Spaces = append(j.Spaces, spaceJSON(&inv.Spaces[i]))
	}
	for _, b := range inv.Blocks {
		j.Blocks = append(j.Blocks, jsonBlock{Name: b.Name, UID: b.UID, Size: b.Size, Memory: b.Memory, Modified: known(b.Modified)})
	}
	return j
}

func spaceJSON(e *shm.SpaceInfo) jsonSpace {
	j := jsonSpace{Kind: string(e.Kind), Name: e.Name, OldName: e.OldName, ID: e.ID, UID: e.UID, State: string(e.State),
		Keep: e.Keep, Created: known(e.Created), Memory: e.Memory, Used: e.Used, Limit: e.Limit, Segments: e.Segments,
		Files: e.Files, Members: []jsonMember{}}
	for _, m := range e.Members {
		j.Members = append(j.Members, jsonMember{Slot: m.Member.Slot(), Gen: m.Member.Gen(), PID: m.PID, Command: m.Command,
			Started: known(m.Started), Dead: m.Dead})
	}
	if e.Err != nil {
		j.Error = oneLine(e.Err)
	}
	return j
}

// known is a time, or null if there is none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return problem{err}
	}
	return nil
}
