from moyin.cli import main

raise SystemExit(main())
