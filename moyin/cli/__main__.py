from moyin.cli.app import main

raise SystemExit(main())
